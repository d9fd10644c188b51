/** Completion scripts, written from the commands and options themselves. */
import type { Argument, Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The script that `trapeze completion SHELL` prints. */
export function completionScript(program: Command, shell: (typeof SHELLS)[number]): string {
  switch (shell) {
    case 'bash':
      return bash(program);
    case 'zsh':
      return zsh(program);
    case 'fish':
      return fish(program);
    default:
      return shell satisfies never;
  }
}

const choicesOf = (one: Option | Argument): readonly string[] => one.argChoices ?? [];
const optionsOf = (command: Command): readonly Option[] => command.createHelp().visibleOptions(command);
const flagOf = (option: Option): string => option.long ?? option.short!;
const argumentChoices = (command: Command): readonly string[] => command.registeredArguments.flatMap(choicesOf);
const namesOf = (command: Command): readonly string[] => command.commands.map((one) => one.name());
/** Commands, and the commands in them. */
const allOf = (program: Command): readonly Command[] => program.commands.flatMap((one) => [one, ...one.commands]);

function bash(program: Command): string {
  const wordsOf = (command: Command): string =>
    [...namesOf(command), ...optionsOf(command).map(flagOf), ...argumentChoices(command)].join(' ');
  const cases = program.commands.flatMap((command) => [
    // What stands in a command comes first: its own words are for the place behind its name.
    ...command.commands.map((one) => `    '${command.name()} ${one.name()}') words='${wordsOf(one)}' ;;`),
    `    '${command.name()} '*) words='${wordsOf(command)}' ;;`,
  ]);
  const valuesOf = (command: Command, path: string): readonly string[] =>
    optionsOf(command)
      .filter((option) => choicesOf(option).length > 0)
      .map((option) => {
        const choices = choicesOf(option).join(' ');
        return `    '${path} '*'${flagOf(option)}') COMPREPLY=($(compgen -W '${choices}' -- "$current")); return ;;`;
      });
  const values = program.commands.flatMap((command) => [
    ...command.commands.flatMap((one) => valuesOf(one, `${command.name()} ${one.name()}`)),
    ...valuesOf(command, command.name()),
  ]);
  const names = program.commands.map((command) => command.name());
  return `# bash completion for trapeze
_trapeze() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${[...names, '--help', '--version'].join(' ')}' -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]} $previous" in
${values.join('\n')}
  esac
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${cases.join('\n')}
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _trapeze trapeze
`;
}

/** Text inside single quotes of a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function zsh(program: Command): string {
  const escaped = (text: string): string => text.replaceAll(/[[\]:]/g, '\\$&');
  const spec = (option: Option): string => {
    const choices = choicesOf(option);
    const values = choices.length > 0 ? `:value:(${choices.join(' ')})` : option.required ? ':value:_files' : '';
    return quoted(`*${flagOf(option)}[${escaped(option.description)}]${values}`);
  };
  const argumentsOf = (command: Command): string => {
    const choices = [...namesOf(command), ...argumentChoices(command)];
    const rest = choices.length > 0 ? `'*:argument:(${choices.join(' ')})'` : "'*:file:_files'";
    return `_arguments ${[...optionsOf(command).map(spec), rest].join(' \\\n      ')}`;
  };
  const cases = program.commands.flatMap((command) => [
    ...command.commands.map((one) => `    '${command.name()} ${one.name()}') ${argumentsOf(one)} ;;`),
    `    '${command.name()} '*) ${argumentsOf(command)} ;;`,
  ]);
  const names = program.commands.map((command) => quoted(`${command.name()}:${escaped(command.description())}`));
  return `#compdef trapeze
_trapeze() {
  local -a commands=(${names.join(' ')})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="$words[2] $words[3]"
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _trapeze trapeze
`;
}

function fish(program: Command): string {
  const lines = ['# fish completion for trapeze'];
  for (const command of allOf(program)) {
    const name = command.name();
    const parent = command.parent === program ? undefined : command.parent?.name();
    const within = parent === undefined ? '' : `__fish_seen_subcommand_from ${parent}; and `;
    const seen = `-n '${within}__fish_seen_subcommand_from ${name}'`;
    const place =
      parent === undefined
        ? '__fish_use_subcommand'
        : `'${within}not __fish_seen_subcommand_from ${namesOf(command.parent!).join(' ')}'`;
    lines.push(`complete -c trapeze -f -n ${place} -a ${name} -d ${fishQuoted(command.description())}`);
    for (const option of optionsOf(command)) {
      const choices = choicesOf(option);
      const value = choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : option.required ? ' -r' : '';
      lines.push(
        `complete -c trapeze ${seen} -l ${flagOf(option).slice(2)}${value} -d ${fishQuoted(option.description)}`,
      );
    }
    const choices = argumentChoices(command);
    if (choices.length > 0) lines.push(`complete -c trapeze -f ${seen} -a '${choices.join(' ')}'`);
  }
  return `${lines.join('\n')}\n`;
}

const fishQuoted = (text: string): string => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
