export { LockAdminModule } from './lock-admin.module.js';
export type {
  LockAdminBehaviour,
  LockAdminGuard,
  LockAdminModuleAsyncOptions,
  LockAdminModuleOptions,
} from './lock-admin.options.js';
