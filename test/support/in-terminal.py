"""Runs a command in a pseudo-terminal: argv is a JSON list of [wait-for, then-type] pairs, then the command.
What to type may also be signal:NAME or resize:ROWSxCOLUMNS.

Prints one JSON line: exit code, everything shown, and whether the terminal came back to its modes.
"""
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

script = json.loads(sys.argv[1])
command = sys.argv[2:]
main, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
before = termios.tcgetattr(terminal)

child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(terminal, fd)
    os.closerange(3, 100)
    os.execvp(command[0], command)

shown = b''
seen = 0
raw = False
deadline = time.time() + 60
status = None
while status is None or select.select([main], [], [], 0)[0]:
    if time.time() > deadline:
        os.kill(child, signal.SIGKILL)
    if select.select([main], [], [], 0.05)[0]:
        shown += os.read(main, 65536)
    raw = raw or not termios.tcgetattr(terminal)[3] & termios.ICANON
    while script and script[0][0].encode() in shown[seen:]:
        wait, then = script.pop(0)
        seen = shown.index(wait.encode(), seen) + len(wait.encode())
        if then.startswith('signal:'):
            os.kill(child, getattr(signal, then[7:]))
        elif then.startswith('resize:'):
            rows, columns = map(int, then[7:].split('x'))
            fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        else:
            os.write(main, then.encode())
    if status is None:
        done, value = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(value)

print(json.dumps({
    'code': status,
    'shown': shown.decode(errors='replace'),
    'wasRaw': raw,
    'restored': termios.tcgetattr(terminal) == before,
}))
