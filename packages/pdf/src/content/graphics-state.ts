/** The part of the graphics state that decides where things land (ISO 32000-2, 8.4 and 9.3). Values are replaced, never changed in place. */
import { identity, type Matrix } from '../geometry.ts';
import { fallbackFont, type FontMetrics } from './load-font.ts';

export interface GraphicsState {
  readonly ctm: Matrix;
  readonly lineWidth: number;
  readonly font: FontMetrics;
  readonly fontSize: number;
  readonly charSpacing: number;
  readonly wordSpacing: number;
  /** Horizontal scaling as a factor, 1 for 100 %. */
  readonly scaling: number;
  readonly leading: number;
  readonly rise: number;
}

export const initialState = (ctm: Matrix): GraphicsState => ({
  ctm,
  lineWidth: 1,
  font: fallbackFont,
  fontSize: 0,
  charSpacing: 0,
  wordSpacing: 0,
  scaling: 1,
  leading: 0,
  rise: 0,
});

/** Text and line matrices of a text object. */
export interface TextPosition {
  readonly matrix: Matrix;
  readonly line: Matrix;
}

export const textStart: TextPosition = { matrix: identity, line: identity };
