/** Whether a name of a file is an address of one on a server. */
export const isHttp = (name: string): boolean => /^https?:\/\//i.test(name);
