// Small programs whose results are the same on every machine, run until V8 has compiled them. Each prints its name and its result
// and, to standard error, its seconds.

const crypto = require('node:crypto');
const zlib = require('node:zlib');

const hash = (value) => crypto.createHash('sha256').update(value).digest('hex').slice(0, 16);

let seed = 12345;
const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff);

/** WebAssembly: (func $f (param i32) (result i32) (if (i32.lt_s (local.get 0) (i32.const 2)) (then (return (local.get 0)))) …) */
const FIB = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 30, 1, 28, 0, 32, 0,
  65, 2, 72, 4, 64, 32, 0, 15, 11, 32, 0, 65, 1, 107, 16, 0, 32, 0, 65, 2, 107, 16, 0, 106, 11,
]);

const PROGRAMS = {
  json() {
    const tree = (depth) =>
      depth === 0 ? { n: random(), s: `é\u{1f600}${random()}` } : [tree(depth - 1), { d: depth, t: tree(depth - 1) }];
    let value = tree(9);
    for (let i = 0; i < 5; i++) value = JSON.parse(JSON.stringify(value));
    return hash(JSON.stringify(value));
  },
  regex() {
    const text = Array.from(
      { length: 20000 },
      () => `${random() % 1000}-${random().toString(36)}@x${random() % 10}.org`,
    );
    const all = text.join(' ');
    const mails = [...all.matchAll(/(\d+)-([a-z]\w*)@x([0-4])\.org/g)];
    return `${mails.length} ${hash(all.replace(/([aeiou])(\d+)/g, (_, a, b) => a.toUpperCase() + b.length))}`;
  },
  typedArrays() {
    const f = new Float64Array(100000).map((_, i) => Math.sqrt(i) * (i % 7) - i / 3);
    const g = new Float32Array(f);
    for (let turn = 0; turn < 20; turn++)
      for (let i = 1; i < f.length; i++) f[i] = (f[i - 1] * 0.25 + f[i] * 0.75) % 1000;
    const words = new Uint32Array(f.buffer);
    let sum = 0;
    for (const word of words) sum = (Math.imul(sum, 31) + word) | 0;
    return `${sum} ${hash(Buffer.from(g.buffer))}`;
  },
  sort() {
    const numbers = Array.from({ length: 200000 }, random);
    const strings = numbers.slice(0, 30000).map((n) => n.toString(36));
    numbers.sort((a, b) => a - b);
    strings.sort();
    return `${hash(numbers.join())} ${hash(strings.join())}`;
  },
  crypto() {
    const bytes = Buffer.alloc(2 ** 20, 'trapeze');
    const key = crypto.scryptSync('password', 'salt', 32, { N: 1024 });
    const cipher = crypto.createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
    const encrypted = Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    const digests = ['md5', 'sha1', 'sha256', 'sha512', 'sha3-256', 'blake2b512'];
    return [encrypted, ...digests.map((d) => crypto.createHash(d).update(bytes).digest())].map(hash).join(' ');
  },
  wasm() {
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(FIB)).exports;
    return f(25);
  },
  objects() {
    class Shape {
      constructor(side) {
        this.side = side;
      }
      area() {
        return this.side * this.side;
      }
    }
    class Circle extends Shape {
      area() {
        return Math.round(this.side * this.side * Math.PI);
      }
    }
    const counts = new Map();
    let sum = 0;
    for (let i = 0; i < 300000; i++) {
      const shape = i % 3 ? new Shape(i % 100) : new Circle(i % 77);
      sum += shape.area();
      counts.set(shape.side, (counts.get(shape.side) ?? 0) + 1);
    }
    return `${sum} ${counts.size} ${counts.get(33)}`;
  },
  bigint() {
    let [a, b] = [0n, 1n];
    for (let i = 0; i < 4000; i++) [a, b] = [b, a + b];
    return hash(String((a * a) ** 3n / (b + 7n)));
  },
  deoptimized() {
    const add = (a, b) => a + b;
    let text = '';
    let sum = 0;
    for (let i = 0; i < 200000; i++) sum = add(sum, i % 5000 === 0 ? 0.5 : i);
    for (let i = 0; i < 20000; i++) text = add(text, i % 10);
    return `${sum} ${hash(text)}`;
  },
  zlib() {
    const bytes = Buffer.from(Array.from({ length: 300000 }, (_, i) => (random() % 8) * (i % 3)));
    const packed = zlib.deflateSync(bytes, { level: 9 });
    return `${packed.length} ${hash(packed)} ${zlib.inflateSync(packed).equals(bytes)}`;
  },
  generators() {
    function* numbers(n) {
      for (let i = 0; i < n; i++) yield i * i;
    }
    let sum = 0;
    for (const n of numbers(200000)) sum = (sum + n) % 1000003;
    return new Function('x', `return ${Array.from({ length: 300 }, (_, i) => `(x * ${i}) % 7`).join('+')}`)(sum);
  },
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  const start = performance.now();
  const results = [program(), program()].map(String);
  console.log(name, ...results);
  console.error('SECONDS', name, ((performance.now() - start) / 1000).toFixed(2));
}
