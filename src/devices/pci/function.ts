/** One type-0 PCI function. */
export class PciFunction {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
