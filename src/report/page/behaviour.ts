import type { PackedRows } from './table.ts';

/**
 * What a page does where scripts run: words at the pointer, rows and marks that point at each other, tables that sort,
 * runs that can be left out. Goes into the page as its own source text, so that it uses nothing from outside.
 */
export function behaviour(): void {
  const all = <T extends Element>(selector: string, within: ParentNode = document): T[] => [
    ...within.querySelectorAll<T>(selector),
  ];
  const make = (name: string, text = ''): HTMLElement => {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  };

  // Tables of many rows stand in the page as columns: see `longTable`.
  for (const place of all('[data-long]')) {
    const { count, columns } = JSON.parse(place.querySelector('script')!.textContent ?? '') as PackedRows;
    const rows = Array.from({ length: count }, (_, i) => {
      const row = document.createElement('tr');
      row.dataset.run = String(i);
      for (const { kind, words, at, ranks } of columns) {
        const cell = make(kind === 'name' ? 'th' : 'td', kind === 'number' || kind === undefined ? words[at[i]!] : '');
        if (kind === 'name') {
          cell.setAttribute('scope', 'row');
          cell.append(make('bdi', words[at[i]!]));
        } else if (kind === 'verdict') {
          const word = make('span', words[at[i]!]);
          word.className = words[at[i]!]!;
          cell.append(word);
        } else if (kind === 'number') cell.className = 'number';
        if (ranks !== undefined) cell.dataset.value = String(ranks[i]);
        row.append(cell);
      }
      return row;
    });
    place.querySelector('tbody')!.replaceChildren(...rows);
  }

  // The browser's own tip would come a second later, over ours.
  const tips = new WeakMap<Element, string>();
  for (const mark of all('svg .mark')) {
    const title = mark.querySelector('title');
    if (title === null) continue;
    tips.set(mark, title.textContent ?? '');
    title.remove();
  }
  /** Of a mark that has no words of its own: the row of its run. */
  const rowText = (mark: Element): string | undefined => {
    const run = mark.getAttribute('data-run');
    const table = mark.closest('section')?.querySelector('.summary table');
    const row = table?.querySelector<HTMLTableRowElement>(`tr[data-run="${run}"]`);
    if (run === null || !table || !row) return undefined;
    const heads = all('thead th', table).map(({ textContent }) => textContent ?? '');
    return [...row.cells].map((cell, i) => `${heads[i]} ${cell.textContent}`).join(', ');
  };
  const tip = make('div');
  tip.id = 'tip';
  tip.setAttribute('role', 'tooltip');
  tip.hidden = true;
  document.getElementById('main')!.append(tip);
  let hot: Element[] = [];
  document.addEventListener('pointermove', (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    const mark = target.closest('svg .mark');
    const text = mark === null ? undefined : (tips.get(mark) ?? rowText(mark));
    tip.hidden = text === undefined;
    if (text !== undefined) {
      tip.textContent = text;
      tip.style.left = `${Math.min(event.clientX + 12, Math.max(0, window.innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${Math.min(event.clientY + 14, Math.max(0, window.innerHeight - tip.offsetHeight - 8))}px`;
    }
    for (const element of hot) element.classList.remove('hot');
    const run = target.closest('[data-run]');
    const section = target.closest('section');
    hot = run === null || section === null ? [] : all(`[data-run="${run.getAttribute('data-run')}"]`, section);
    for (const element of hot) element.classList.add('hot');
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') tip.hidden = true;
  });

  const shown = (row: HTMLTableRowElement, column: number): string | number => {
    const cell = row.cells[column]!;
    const text = cell.dataset.value ?? cell.textContent ?? '';
    return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
  };
  const sort = (head: HTMLTableCellElement): void => {
    const table = head.closest('table')!;
    const down = head.getAttribute('aria-sort') === 'ascending';
    for (const other of all('thead th', table)) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const rows = [...table.tBodies[0]!.rows].sort((a, b) => {
      const [x, y] = [shown(a, head.cellIndex), shown(b, head.cellIndex)];
      const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'en');
      return down ? -order : order;
    });
    table.tBodies[0]!.append(...rows);
  };
  for (const head of all<HTMLTableCellElement>('table[data-sortable] thead th')) {
    const button = make('button', head.textContent ?? '');
    button.setAttribute('type', 'button');
    button.addEventListener('click', () => sort(head));
    head.replaceChildren(button);
  }

  for (const section of all('section[data-filtered]')) {
    const rows = all<HTMLTableRowElement>('.summary tbody tr', section);
    if (rows.length < 2) continue;
    const form = make('div');
    form.className = 'filter';
    form.setAttribute('role', 'group');
    form.setAttribute('aria-label', 'Runs to show');
    const choices = ['machine', 'policy', 'verdict'].map((name, column) => {
      const label = make('label', `${name} `);
      const select = document.createElement('select');
      const words = [...new Set(rows.map((row) => row.cells[column]!.textContent ?? ''))];
      for (const word of ['all', ...words]) {
        const option = document.createElement('option');
        option.value = word === 'all' ? '' : word;
        option.textContent = word;
        select.append(option);
      }
      label.append(select);
      form.append(label);
      return select;
    });
    const said = make('output', `${rows.length} of ${rows.length} runs`);
    form.append(said);
    form.addEventListener('change', () => {
      const kept = rows.filter((row) =>
        choices.every(({ value }, column) => value === '' || row.cells[column]!.textContent === value),
      );
      const runs = new Set(kept.map((row) => row.dataset.run));
      for (const element of all<HTMLElement>('[data-run]', section))
        element.classList.toggle('out', !runs.has(element.getAttribute('data-run') ?? ''));
      said.textContent = `${kept.length} of ${rows.length} runs`;
    });
    const summary = section.querySelector('.summary')!;
    (summary.closest('figure') ?? summary).before(form);
  }

  // A link to a counterexample opens it.
  const open = (): void => {
    const target = document.getElementById(window.location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  window.addEventListener('hashchange', open);
  open();
}
