import type { InjectionToken, OptionalFactoryDependency } from '@nestjs/common';

/** The source of the options of `forRootAsync`. */
export interface OptionsFactory<Options> {
  /** Returns the options. Nest calls it once, with the values of `inject`. */
  readonly useFactory: (
    // Nest resolves `inject` at run time, so only the factory knows the types of its values.
    ...dependencies: never[]
  ) => Promise<Options> | Options;
  /** The tokens whose values the factory is called with, in that order. */
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
}
