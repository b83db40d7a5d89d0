/**
 * Metrics, to be read by Prometheus. Names start with `casebound_`, end with their unit (`_seconds`, `_bytes`) and, for
 * counters, with `_total`. Labels are of few values each: never an id, a name or an address.
 *
 * A package outside the server declares the members it needs as an interface of its own; this one fits it.
 */
export type Labels<L extends string> = Readonly<Record<L, string>>;

export interface MetricDefinition<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

export interface Counter<L extends string> {
  add(labels: Labels<L>, by?: number): void;
}

export interface Gauge<L extends string> {
  set(labels: Labels<L>, value: number): void;
  add(labels: Labels<L>, by: number): void;
}

export interface Histogram<L extends string> {
  observe(labels: Labels<L>, value: number): void;
}

export interface GaugeDefinition<L extends string> extends MetricDefinition<L> {
  /** Called when the metrics are read, for values that are looked up rather than kept. */
  readonly collect?: (gauge: Gauge<L>) => void | Promise<void>;
}

export interface HistogramDefinition<L extends string> extends MetricDefinition<L> {
  /** Upper bounds, ascending, in the unit of the name. */
  readonly buckets: readonly number[];
}

export interface Metrics {
  counter<const L extends string = never>(definition: MetricDefinition<L>): Counter<L>;
  gauge<const L extends string = never>(definition: GaugeDefinition<L>): Gauge<L>;
  histogram<const L extends string = never>(definition: HistogramDefinition<L>): Histogram<L>;
  /** All metrics in the text format 0.0.4 of Prometheus. */
  render(): Promise<string>;
}
