/** The engine, which imports want as well. */
export { engineModule } from '../trace/input.ts';
