/** `require` and `import` in one process must give one and the same class, or one half would not know the other's locks. */
const entries = ['', '/redis', '/etcd', '/testing', '/prometheus', '/opentelemetry', '/terminus'].map(
  (path) => `nestjs-distributed-lock${path}`,
);

async function main() {
  for (const entry of entries) {
    const required = require(entry);
    const imported = await import(entry);
    const names = Object.keys(required).filter((name) => name !== 'default' && name !== '__esModule');
    const twice = names.filter((name) => required[name] !== imported[name]);
    if (names.length === 0) throw new Error(`${entry} exports nothing.`);
    if (twice.length > 0) throw new Error(`${entry}: import and require differ in ${twice.join(', ')}.`);
  }
  console.log('one class');
}

void main();
