// Builds elements. Text is always set as text: what devices say of themselves is never read as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function table(columns, rows, className = "") {
  const head = columns.map((column) => element("th", { class: column.number ? "number" : null }, column.title));
  return element("div", { class: "card scroll" }, element("table", { class: className },
    element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)));
}

export function cell(content, className = null) {
  return element("td", { class: className }, content === null || content === undefined || content === "" ? "–" : content);
}

const TONES = {
  good: ["confirmed", "succeeded", "finished"],
  busy: ["running", "probation", "trial", "verifying", "downloading", "assigned"],
  warn: ["paused", "rolling_back", "rolled_back", "superseded"],
  bad: ["failed", "rejected", "reverted", "halted", "stranded", "aborted"],
};

export function tone(state) {
  return Object.keys(TONES).find((name) => TONES[name].includes(state)) ?? "";
}

export function chip(text, name = tone(text)) {
  return element("span", { class: `chip ${name}` }, text.replaceAll("_", " "));
}

export function ago(then, now) {
  if (then === null) return "never";
  const seconds = Math.max(0, now - then) / 1000;
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.round(seconds / length)} ${unit} ago`;
  }
  return `${Math.round(seconds)} s ago`;
}

export function notice(text, command) {
  return element("div", { class: "notice" }, text, element("br"), element("code", {}, command));
}
