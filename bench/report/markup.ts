/** Elements of HTML and SVG as text, closed and escaped as XML wants it. */

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export const escapeText = (text: string): string => text.replace(/[&<>"]/g, (character) => ESCAPES[character]);

/** `text` is escaped and comes before `children`, which are markup. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>> = {},
  children: readonly string[] = [],
  text = '',
): string {
  const words = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(String(value))}"`);
  return `<${name}${words.join('')}>${escapeText(text)}${children.join('')}</${name}>`;
}
