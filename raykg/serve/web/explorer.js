// Walking the graph: find an entity, see what stands around it, go on to the next.
import { fact, shortList } from "./answer.js";
import { announce, button, element, find, name, plural } from "./dom.js";
import * as drawing from "./drawing.js";
import { errorBox, json } from "./service.js";

const WAIT = 180; // milliseconds after the last letter before the service is asked
const NEAR = 40; // facts around an entity that are drawn at first, and then
const MORE = 200;
let search = null; // what ends the search that is under way
let walking = 0; // only the last of several walks may change the page
let show = null;
let settings = null;

/** Wires the search and the picture's buttons; `onshow` brings the graph's view to the front. */
export function startExplorer({ onshow, onkey, onabout }) {
  show = onshow;
  settings = { onkey, onabout };
  drawing.startDrawing(find("canvas"), (node) => walk(node));
  find("closer").addEventListener("click", () => drawing.zoom(1.3));
  find("farther").addEventListener("click", () => drawing.zoom(1 / 1.3));
  find("fit").addEventListener("click", drawing.fit);
  let timer = 0;
  find("entity").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT);
  });
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    look();
  });
  find("search").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    find("entity").value = "";
    find("found").replaceChildren();
    find("entity").focus();
  });
}

/** Draws what an answer rests on. */
export function drawRecord(record) {
  const entities = (record.answers ?? []).filter(({ node }) => node !== null && node !== undefined);
  const proof = typeof record.proof === "object" ? record.proof : null;
  drawing.draw(record.facts ?? [], {
    topics: new Set(proof?.entities?.map(({ node }) => node)),
    answers: new Set(entities.map(({ node }) => node)),
    alone: record.facts?.length ? [] : entities.map(({ node, text }) => ({ node, label: text })),
  });
  find("chosen").replaceChildren(element("p", { class: "small" }, "Choose an entity, here or in an answer, to walk on from it."));
}

/** Goes to an entity: adds what stands around it to the picture and lists it. */
export async function walk(node, limit = NEAR) {
  const turn = ++walking;
  show();
  const place = find("chosen");
  place.setAttribute("aria-busy", "true");
  try {
    const found = await json(`v1/kg/subgraph?${new URLSearchParams({ node, hops: 1, limit })}`);
    if (turn !== walking) return;
    const labels = new Map(found.nodes.map((one) => [one.node, one]));
    const facts = found.edges.map((edge) => ({ ...edge, head: labels.get(edge.head), tail: labels.get(edge.tail) }));
    const here = labels.get(node) ?? { node, label: `entity ${node}`, type: null };
    if (drawing.has(node)) drawing.expand(facts, node);
    else drawing.draw(facts, { topics: new Set([node]), alone: [here] });
    drawing.choose(node);
    describe(here, facts, limit);
  } catch (error) {
    if (turn === walking) place.replaceChildren(errorBox(error, settings.onkey));
  } finally {
    if (turn === walking) place.removeAttribute("aria-busy");
  }
}

function describe(here, facts, limit) {
  const heading = element("h3", { tabindex: -1 }, name(here.label));
  find("chosen").replaceChildren(
    heading,
    element("p", { class: "small" }, [here.type, plural(facts.length, "fact") + (facts.length >= limit ? ", there may be more" : "")].filter(Boolean).join(" · ")),
    element(
      "p",
      { class: "actions" },
      button("Ask about it", () => settings.onabout(here.label)),
      facts.length >= limit && limit < MORE ? button(`Show up to ${MORE}`, () => walk(here.node, MORE)) : null,
    ),
    shortList(facts, (one) => fact(one, walk)),
  );
  announce(`${here.label}: ${plural(facts.length, "fact")}`);
  heading.focus({ preventScroll: true }); // whoever walks by keyboard goes on from here
}

async function look() {
  search?.abort();
  const words = find("entity").value.trim();
  const list = find("found");
  if (!words) {
    list.replaceChildren();
    return;
  }
  search = new AbortController();
  try {
    const { entities } = await json(`v1/kg/entities?${new URLSearchParams({ q: words, limit: 8 })}`, { signal: search.signal });
    list.replaceChildren(...entities.map((entity) => element("li", {}, foundButton(entity))));
    if (!entities.length) list.replaceChildren(element("li", {}, "Nothing is called so."));
    announce(entities.length ? `${plural(entities.length, "entity", "entities")} found` : "Nothing is called so.");
  } catch (error) {
    if (error.name !== "AbortError") list.replaceChildren(element("li", {}, errorBox(error, settings.onkey)));
  }
}

function foundButton({ node, label, description, type, degree }) {
  const about = [type, description, plural(degree ?? 0, "fact")].filter(Boolean).join(" · ");
  const words = element("span", {}, name(label), " ", element("span", { class: "small" }, about));
  return button(words, () => {
    find("found").replaceChildren();
    walk(node);
  });
}
