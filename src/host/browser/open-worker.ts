/** A worker of the build, also where that is on another site than the page. */
export function openWorker(url: URL, name: string): Worker {
  const options = { type: 'module', name } as const;
  if (url.origin === location.origin) return new Worker(url, options);
  // A worker's own file must be of the page's origin; what it imports need not be.
  const file = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' }));
  return new Worker(file, options);
}
