// Elements are made here and nowhere else: what the service says goes in as text nodes, so no label is ever read as HTML.

/** Returns an element; an attribute named on... is a listener, and a text among the children becomes a text node. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Returns a button that is no submit button. */
export function button(words, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, words);
}

/** Returns a name in a box of its own: writing from right to left in it cannot turn the words around it. */
export function name(text) {
  return element("bdi", {}, text);
}

export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element with the id ${id}`);
  return found;
}

/** Says something to people who do not see the page change. */
export function announce(words) {
  find("status").textContent = words;
}

export function plural(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
