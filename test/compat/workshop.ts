import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { both, clients, monitoring, neighbours, nest, nest11ForOurTests, orms, tools } from './versions.js';

export type NestMajor = keyof typeof nest;
export type Format = 'cjs' | 'esm';

/** An application of somebody else, in its own folder; two formats of one Nest share a node_modules above them. */
export interface Consumer {
  readonly name: string;
  readonly nest: NestMajor;
  readonly format: Format;
  readonly dir: string;
}

/** An application with our package and the libraries that stand beside it in one, on one version of Nest. */
export interface Neighbourhood {
  readonly name: string;
  readonly dir: string;
}

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const repository = fileURLToPath(new URL('../..', import.meta.url));
const appSources = fileURLToPath(new URL('./app', import.meta.url));
const ormSources = fileURLToPath(new URL('./orms', import.meta.url));
const neighbourSources = fileURLToPath(new URL('./neighbours', import.meta.url));

/** How long one command may take, in milliseconds: an install beside other work takes minutes. */
const PATIENCE_MS = 300_000;

/** The temporary folder that everything here happens in. */
export class Workshop {
  readonly dir = mkdtempSync(join(tmpdir(), 'lock-compat-'));

  #tarball: Promise<string> | undefined;

  /** Packs what is built and installs the tools, once. @returns the package, for a package.json */
  prepare(): Promise<string> {
    return (this.#tarball ??= (async () => {
      const [packed] = await Promise.all([
        this.npm(repository, 'pack', '--json', '--pack-destination', this.dir),
        this.install('tools', tools),
      ]);
      const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
      return `file:${join(this.dir, filename)}`;
    })());
  }

  /** Installs the package to be tested next to each Nest as a user would. */
  async furnish(): Promise<readonly Consumer[]> {
    const tarball = await this.prepare();
    await Promise.all([
      ...([11, 12] as const).map((major) =>
        this.install(`nest${major}`, {
          ...nest[major],
          ...clients[major],
          ...monitoring[major],
          ...both,
          'nestjs-distributed-lock': tarball,
        }),
      ),
    ]);
    return ([11, 12] as const).flatMap((major) =>
      (['cjs', 'esm'] as const).map((format) => this.consumer(major, format)),
    );
  }

  /** The package beside the libraries that stand on the same classes, on each Nest; built, and ready to run. */
  async settle(name: keyof typeof neighbours): Promise<Neighbourhood> {
    const tarball = await this.prepare();
    const folder = name.toLowerCase().replaceAll(/[^\w]/g, '-');
    const dir = join(this.dir, folder);
    const isEsm = name === 'Nest 12';
    // What they ask for beside each other is older than what runs: npm would refuse, pnpm warns.
    await this.install(
      folder,
      { ...neighbours[name], ...both, 'nestjs-distributed-lock': tarball },
      '--legacy-peer-deps',
    );
    cpSync(neighbourSources, dir, { recursive: true });
    this.write(`${folder}/package.json`, { private: true, type: isEsm ? 'module' : 'commonjs' });
    const compilerOptions = {
      target: 'ES2022',
      module: isEsm ? 'nodenext' : 'commonjs',
      moduleResolution: isEsm ? 'nodenext' : 'node10',
      ignoreDeprecations: '6.0',
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      esModuleInterop: true,
      // The types of other libraries are theirs: what is looked at is how they run.
      noCheck: true,
      types: ['node'],
      rootDir: '.',
      outDir: 'out',
    };
    this.write(`${folder}/tsconfig.json`, { compilerOptions, include: ['*.ts'] });
    await this.node(dir, this.tool('typescript/bin/tsc'), '-p', 'tsconfig.json');
    return { name, dir };
  }

  /** The package beside the libraries that ask PostgreSQL; its recipes compiled as a user's would be. @returns where they are */
  async settleOrms(): Promise<string> {
    const tarball = await this.prepare();
    const dir = join(this.dir, 'orms');
    await this.install('orms', { ...nest[12], ...both, ...orms, 'nestjs-distributed-lock': tarball });
    cpSync(ormSources, dir, { recursive: true });
    const { dependencies } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Manifest;
    this.write('orms/package.json', { private: true, type: 'module', dependencies });
    const compilerOptions = {
      ...{ target: 'ES2022', module: 'nodenext', moduleResolution: 'nodenext', strict: true, skipLibCheck: true },
      ...{ types: ['node'], rootDir: '.', outDir: 'out' },
    };
    this.write('orms/tsconfig.json', { compilerOptions, include: ['*.ts'] });
    await this.node(dir, this.tool('typescript/bin/tsc'), '-p', 'tsconfig.json');
    return dir;
  }

  /** This repository, tests and all, with Nest 11 in place of 12. */
  async repositoryOnNest11(): Promise<string> {
    const folder = 'repository-nest11';
    const dir = join(this.dir, folder);
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(repository, 'package.json'), 'utf8'),
    ) as Manifest;
    const notNest = Object.entries(devDependencies).filter(([name]) => !name.startsWith('@nestjs/'));
    await this.install(folder, { ...dependencies, ...Object.fromEntries(notNest), ...nest11ForOurTests });
    for (const path of ['lib', 'test', 'sample', 'tsconfig.json', 'vitest.config.ts', 'package.json']) {
      if (existsSync(join(repository, path))) cpSync(join(repository, path), join(dir, path), { recursive: true });
    }
    return dir;
  }

  /** The file of a tool: of the repository, or of those installed for the matrix only. */
  tool(path: string): string {
    if (path.startsWith('nest11/')) return join(repository, 'node_modules/@nestjs/cli', path.slice('nest11/'.length));
    return join(
      path.startsWith('typescript/') || path.startsWith('vitest/') ? repository : join(this.dir, 'tools'),
      'node_modules',
      path,
    );
  }

  write(path: string, content: object | string): void {
    const file = join(this.dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }

  /** Throws with everything that the command said when it does not end with 0. */
  run(cwd: string, command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { cwd, env: { ...process.env, NO_COLOR: '1', ...env }, timeout: PATIENCE_MS, maxBuffer: 2 ** 26 };
      execFile(command, [...args], options, (error, stdout, stderr) => {
        if (error)
          reject(
            new Error(
              `${[command, ...args].join(' ')}\n${stdout}${stderr}${error.killed ? `killed after ${PATIENCE_MS / 1000} s` : ''}`,
            ),
          );
        else resolve(stdout);
      });
    });
  }

  node(cwd: string, ...args: readonly string[]): Promise<string> {
    return this.run(cwd, process.execPath, args);
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private consumer(major: NestMajor, format: Format): Consumer {
    const name = `Nest ${major} ${format === 'cjs' ? 'CommonJS' : 'ESM'}`;
    const path = `nest${major}/${format}`;
    const dir = join(this.dir, path);
    this.write(`${path}/package.json`, { private: true, type: format === 'cjs' ? 'commonjs' : 'module' });
    cpSync(appSources, join(dir, 'src'), { recursive: true });
    return { name, nest: major, format, dir };
  }

  private async install(folder: string, dependencies: Record<string, string>, ...flags: string[]): Promise<void> {
    this.write(`${folder}/package.json`, { private: true, dependencies });
    await this.npm(
      join(this.dir, folder),
      'install',
      '--prefer-offline',
      '--no-package-lock',
      '--ignore-scripts',
      '--loglevel=error',
      ...flags,
    );
  }

  /** Installs what the package.json of that folder says; pnpm gives each package only what it asks for itself. */
  async installAs(packages: 'npm' | 'pnpm', folder: string): Promise<void> {
    const dir = join(this.dir, folder);
    const flags = ['install', '--prefer-offline', '--ignore-scripts', '--loglevel=error'];
    if (packages === 'npm') await this.npm(dir, ...flags, '--no-package-lock', '--no-audit', '--no-fund');
    else await this.node(dir, this.tool('pnpm/bin/pnpm.mjs'), ...flags, '--no-lockfile');
  }

  private npm(cwd: string, ...args: readonly string[]): Promise<string> {
    return this.run(cwd, 'npm', args);
  }
}
