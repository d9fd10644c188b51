/** What `scripts/build-web.ts` puts in place of names, and files that it takes in as text. */
declare const TRAPEZE_ASSETS: import('../host/browser/assets.ts').Assets;

declare module '*.css' {
  const text: string;
  export default text;
}
