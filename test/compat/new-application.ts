import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { codeBlocks } from '../docs/code-blocks.js';
import { freePort } from '../servers/free-port.js';
import { startRedis } from '../servers/redis.js';
import { asTheReadmeSays, mocks, type NewManifest } from './mocks.js';
import { newApplications } from './versions.js';
import type { NestMajor, Workshop } from './workshop.js';

export type PackageManager = 'npm' | 'pnpm';

/** What `nest new` made, with every block of the README pasted, and nothing else typed. */
export class NewApplication {
  readonly name: string;

  private constructor(
    private readonly nest: NestMajor,
    packages: PackageManager,
    private readonly dir: string,
    private readonly workshop: Workshop,
  ) {
    this.name = `Nest ${nest}, ${packages}`;
  }

  static async make(workshop: Workshop, nest: NestMajor, packages: PackageManager, tarball: string) {
    const folder = `new-${nest}-${packages}`;
    const flags = ['--skip-install', '--skip-git', '--strict', '--package-manager', packages];
    await workshop.node(workshop.dir, workshop.tool(newApplications[nest].cli), 'new', folder, ...flags);
    const app = new NewApplication(nest, packages, join(workshop.dir, folder), workshop);
    app.#choosePackages(tarball);
    app.#paste();
    await workshop.installAs(packages, folder);
    return app;
  }

  #built: Promise<unknown> | undefined;

  async build(): Promise<void> {
    await (this.#built ??= this.workshop.node(this.dir, this.workshop.tool(newApplications[this.nest].cli), 'build'));
  }

  async runsByTsc(): Promise<void> {
    await this.build();
    await this.#runs('dist/main.js');
  }

  async unitTests(): Promise<void> {
    await (this.nest === 11 ? this.#bin('jest', 'jest/bin/jest.js') : this.#bin('vitest', 'vitest/vitest.mjs', 'run'));
  }

  async endToEndTests(): Promise<void> {
    await (this.nest === 11
      ? this.#bin('jest', 'jest/bin/jest.js', '--config', './test/jest-e2e.json')
      : this.#bin('vitest', 'vitest/vitest.mjs', 'run', '--config', './vitest.config.e2e.ts'));
  }

  /** Two processes over one Redis, as the quick start has them: one order once at a time, and an end in good order. */
  async #runs(main: string): Promise<void> {
    const redis = await startRedis();
    const pods = await Promise.all([this.#start(main, redis.url), this.#start(main, redis.url)]);
    try {
      const post = async (pod: Pod, id: string) => {
        const begun = performance.now();
        const response = await fetch(`${pod.url}/orders/${id}`, { method: 'POST' });
        return { text: await response.text(), begun, ended: performance.now() };
      };
      const [one, other] = await Promise.all([post(pods[0], '7'), post(pods[1], '7')]);
      // The work takes a second, and a timer may be early by a millisecond. How far apart the answers are read says less: a machine that
      // is busy may be late with the first one.
      const took = Math.max(one.ended, other.ended) - Math.min(one.begun, other.begun);
      if (one.text !== 'order 7 is placed' || other.text !== one.text || took < 1_950)
        throw new Error(`Not one at a time: ${JSON.stringify([one, other])}`);
      const ends = await Promise.all(pods.map((pod) => pod.stop()));
      if (ends.some((signal) => signal !== 'SIGTERM')) throw new Error(`Ended otherwise than asked: ${ends.join()}`);
    } finally {
      await Promise.all(pods.map((pod) => pod.stop()));
      await redis.stop();
    }
  }

  /** The same, built by SWC as the Nest CLI has it do that. */
  async runsBySwc(): Promise<void> {
    const { transformFile } = (await import(this.workshop.tool('@swc/core/index.js'))) as {
      transformFile: (file: string, options: object) => Promise<{ code: string }>;
    };
    for (const file of this.#pasted.filter((path) => path.startsWith('src/') && !/\.spec\.|setup/.test(path))) {
      const { code } = await transformFile(join(this.dir, file), {
        swcrc: false,
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          keepClassNames: true,
        },
        module: { type: this.nest === 11 ? 'commonjs' : 'es6' },
      });
      this.#write(bySwc(file), code);
    }
    const files = this.#pasted.filter((path) => /^src\/[\w-]+\.(module|service|controller)\.ts$/.test(path));
    await this.workshop.node(this.dir, '--input-type=module', '-e', loads(files.map(bySwc)));
    await this.#runs('by-swc/main.js');
  }

  readonly #pasted: string[] = [];

  #paste(): void {
    const blocks = [...codeBlocks('README.md'), ...mocks(this.nest)];
    for (const { file, code } of blocks) {
      if (file === undefined) continue;
      this.#pasted.push(file);
      // "In a CommonJS one leave `.js` out of the imports."
      this.#write(file, this.nest === 11 ? code.replaceAll(/(from '\.[^']*)\.js'/g, "$1'") : code);
    }
  }

  #choosePackages(tarball: string): void {
    const path = join(this.dir, 'package.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as NewManifest;
    const needed = /^(@nestjs\/testing|@types\/(node|jest)|jest|ts-jest|typescript|vitest|vite-tsconfig-paths)$/;
    manifest.devDependencies = Object.fromEntries(
      Object.entries({ ...manifest.devDependencies, ...newApplications[this.nest].forTests }).filter(
        ([name]) => needed.test(name) || name in newApplications[this.nest].forTests,
      ),
    );
    Object.assign(manifest.dependencies, newApplications[this.nest].asTheReadmeSays, {
      'nestjs-distributed-lock': tarball,
    });
    asTheReadmeSays(manifest, (file, change) => this.#write(file, change(readFileSync(join(this.dir, file), 'utf8'))));
    this.#write('package.json', JSON.stringify(manifest, null, 2));
  }

  #write(file: string, text: string): void {
    const path = join(this.dir, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  #bin(_name: string, path: string, ...args: string[]): Promise<string> {
    return this.workshop.node(this.dir, join(this.dir, 'node_modules', path), ...args);
  }

  async #start(main: string, redisUrl: string): Promise<Pod> {
    const port = await freePort();
    const child = spawn(process.execPath, [main], {
      cwd: this.dir,
      env: { ...process.env, PORT: String(port), REDIS_URL: redisUrl, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const pod = { url: `http://localhost:${port}`, stop: () => stopped(child) };
    let said = '';
    child.stderr.on('data', (chunk) => (said += chunk));
    const listening = new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        said += chunk;
        if (said.includes('successfully started')) resolve();
      });
      child.once('exit', () => reject(new Error(`${main} ended:\n${said}`)));
    });
    await listening;
    for (let tries = 0; tries < 200 && !(await answers(pod.url)); tries += 1)
      await new Promise((next) => setTimeout(next, 25));
    return pod;
  }
}

interface Pod {
  readonly url: string;
  stop(): Promise<NodeJS.Signals | null>;
}

async function stopped(child: ChildProcess): Promise<NodeJS.Signals | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.signalCode;
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await once(child, 'exit');
  clearTimeout(late);
  return child.signalCode;
}

const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  );

const bySwc = (file: string) => file.replace(/^src(.*)\.ts$/, 'by-swc$1.js');

/** A program that loads the files: a type that metadata needs as a value would throw. */
const loads = (files: readonly string[]) =>
  ['reflect-metadata', ...files.map((file) => `./${file}`)].map((file) => `await import('${file}');`).join('\n');
