import type { InjectionToken, OptionalFactoryDependency } from '@nestjs/common';

/** What `forRootAsync` of a module takes its options from. */
export interface OptionsFactory<Options> {
  /** Gives the options. It is called once, with what `inject` names. */
  readonly useFactory: (
    // Nest resolves `inject` at run time; what each token gives is the factory's own knowledge.
    ...dependencies: never[]
  ) => Promise<Options> | Options;
  /** The tokens whose values the factory is called with, in that order. */
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
}
