import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'msedge'];

/** Where installers put it that leave PATH alone. */
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ...['PROGRAMFILES', 'PROGRAMFILES(X86)', 'LOCALAPPDATA'].flatMap((name) => {
    const folder = process.env[name];
    return folder === undefined
      ? []
      : [join(folder, 'Google/Chrome/Application/chrome.exe'), join(folder, 'Microsoft/Edge/Application/msedge.exe')];
  }),
];

/** The browser of this computer. CHROMIUM names one that is found nowhere else. */
export function chromiumPath(): string {
  const given = process.env.CHROMIUM;
  if (given !== undefined && given !== '') return given;
  const endings = process.platform === 'win32' ? ['.exe'] : [''];
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const found = [
    ...folders.flatMap((folder) => NAMES.flatMap((name) => endings.map((ending) => join(folder, name + ending)))),
    ...PLACES,
  ].find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    'no Chromium found: install one (Debian: apt-get install chromium; macOS: brew install --cask chromium; Windows: winget install Google.Chrome) or name it in CHROMIUM',
  );
}

/** Starts it without a window. */
export function startBrowser(): Promise<Browser> {
  // Its sandbox wants rights that a container does not give to root.
  const root = process.getuid?.() === 0;
  return chromium.launch({ executablePath: chromiumPath(), args: root ? ['--no-sandbox'] : [] });
}
