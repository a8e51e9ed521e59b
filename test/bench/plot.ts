// The ratios of processor time as a picture: for each work a bar for each proxy, as a multiple of what HAProxy spends.

import { cpuMicroseconds, type Findings, ratioOf } from './report.ts'
import { nameOf } from './rounds.ts'

export interface Bar {
  readonly name: string
  readonly value: number
  /** Where the value lies. */
  readonly interval: readonly [number, number]
}

/** Bars that belong together. */
export interface Group {
  readonly title: string
  readonly bars: readonly Bar[]
}

export interface Panel {
  readonly title: string
  readonly groups: readonly Group[]
}

const REFERENCE = 'haproxy'

/** Empty panels and groups are left out. */
export function panelsOf(results: readonly (Findings & { readonly backends: string })[]): Panel[] {
  return results
    .map((result) => ({
      title: result.backends,
      groups: result.tasks
        .filter(({ work }) => work !== 'start')
        .map((task) => ({
          title: `${nameOf(task)}, ${task.clients} clients`,
          bars: result.paths.flatMap((of) => {
            if (of === REFERENCE) return []
            const ratio = ratioOf(result, task, { of, to: REFERENCE }, cpuMicroseconds)
            return ratio === null ? [] : [{ name: of, value: ratio.median, interval: ratio.interval }]
          }),
        }))
        .filter(({ bars }) => bars.length > 0),
    }))
    .filter(({ groups }) => groups.length > 0)
}

const WIDTH = 860
const BARS_LEFT = 250
const BARS_RIGHT = WIDTH - 60
const BAR_HEIGHT = 12
const GROUP_GAP = 10
const PANEL_HEAD = 34
const TOP = 64
const COLOURS = ['#999999', '#56b4e9', '#e69f00', '#0072b2', '#cc79a7']

/** An SVG of all panels one below the other, on one scale. */
export function barChart(heading: string, panels: readonly Panel[]): string {
  const bars = panels.flatMap(({ groups }) => groups.flatMap((group) => group.bars))
  const names = [...new Set(bars.map(({ name }) => name))]
  const end = Math.max(1, ...bars.map(({ value }) => value)) * 1.05
  const x = (value: number) => round(BARS_LEFT + (Math.min(value, end) / end) * (BARS_RIGHT - BARS_LEFT))
  const colourOf = (name: string) => COLOURS[names.indexOf(name) % COLOURS.length]!

  const parts: string[] = [text(16, 26, heading, 'class="head"')]
  for (const [at, name] of names.entries()) {
    const left = BARS_LEFT + at * 110
    parts.push(rectangle({ x: left, y: 38, width: 12, height: 12 }, colourOf(name)), text(left + 18, 48, name))
  }
  let y = TOP
  for (const { title, groups } of panels) {
    const top = y + PANEL_HEAD - 8
    parts.push(text(16, y + 22, title, 'class="head"'))
    y += PANEL_HEAD
    for (const group of groups) {
      const middle = y + (group.bars.length * BAR_HEIGHT) / 2
      parts.push(text(BARS_LEFT - 10, middle + 4, group.title, 'text-anchor="end"'))
      for (const { name, value, interval } of group.bars) {
        const [low, high] = interval.map(x)
        const centre = y + BAR_HEIGHT / 2
        parts.push(
          rectangle(
            { x: BARS_LEFT, y: y + 1, width: round(x(value) - BARS_LEFT), height: BAR_HEIGHT - 2 },
            colourOf(name),
          ),
          line(low!, centre, high!, centre),
          text(Math.max(x(value), high!) + 5, centre + 4, value.toFixed(2)),
        )
        y += BAR_HEIGHT
      }
      y += GROUP_GAP
    }
    // What the reference spends.
    parts.push(line(x(1), top, x(1), y - GROUP_GAP + 4, 'stroke-dasharray="4 3"'))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 8}" viewBox="0 0 ${WIDTH} ${y + 8}">
<title>${escaped(heading)}</title>
<style>text { font: 12px sans-serif; fill: #222 } .head { font-size: 14px; font-weight: bold }</style>
<rect width="100%" height="100%" fill="white"/>
${parts.join('\n')}
</svg>
`
}

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

function rectangle({ x, y, width, height }: Box, colour: string): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${colour}"/>`
}

function line(x1: number, y1: number, x2: number, y2: number, more = ''): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#222" ${more}/>`
}

function text(x: number, y: number, words: string, more = ''): string {
  return `<text x="${x}" y="${y}" ${more}>${escaped(words)}</text>`
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
