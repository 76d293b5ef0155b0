// The drawn graph: facts as a picture, by Cytoscape.js (see vendor/). What it shows stands beside it as lists, for those who do not see it.
import cytoscape from "./vendor/cytoscape-3.34.4/cytoscape.esm.min.mjs";
import { plural } from "./dom.js";

const FEW = 30; // nodes; up to here a proof is drawn as steps from left to right, beyond as a cloud
const LONGEST = 48; // letters of a label in the picture
let cy = null;
let place = null;

/** Prepares the picture in an element; `onwalk` gets the node that somebody clicks. */
export function startDrawing(container, onwalk) {
  place = container;
  cy = cytoscape({ container, style: style(), minZoom: 0.1, maxZoom: 3, boxSelectionEnabled: false, autounselectify: true });
  cy.on("tap", "node", (event) => onwalk(Number(event.target.id().slice(1))));
  let width = container.clientWidth;
  new ResizeObserver(() => {
    cy.resize();
    if (width === 0 && container.clientWidth) arrange(); // drawn while its view was hidden
    width = container.clientWidth;
    fit();
  }).observe(container);
}

/** Draws facts anew. `topics` and `answers` are sets of nodes; `alone` are nodes that no fact holds. */
export function draw(facts, { topics = new Set(), answers = new Set(), alone = [] } = {}) {
  cy.elements().remove();
  const known = new Map(alone.map((entity) => [entity.node, entity]));
  for (const { head, tail } of facts) for (const entity of [head, tail]) known.set(entity.node, entity);
  const role = (node) => (answers.has(node) ? "answer" : topics.has(node) ? "topic" : "other");
  const ring = around({ x: 0, y: 0 }, known.size); // where they stand until the picture is seen: Cytoscape cannot draw facts between nodes of one place
  cy.add([...known.values()].map((entity, index) => ({ ...nodeOf(entity, role(entity.node)), position: ring(index) })));
  cy.add(facts.map(edgeOf));
  arrange();
}

/** Adds facts around a node that is drawn already, and leaves the others where they are. */
export function expand(facts, from) {
  const centre = cy.getElementById(`n${from}`).position();
  const entities = new Map(facts.flatMap(({ head, tail }) => [[head.node, head], [tail.node, tail]]));
  const added = [...entities.values()].filter(({ node }) => cy.getElementById(`n${node}`).empty());
  const ring = around(centre, added.length);
  cy.add(added.map((entity, index) => ({ ...nodeOf(entity, "other"), position: ring(index) })));
  cy.add(facts.filter(({ triple }) => cy.getElementById(`t${triple}`).empty()).map(edgeOf));
  if (added.length) cloud();
  described();
}

export function has(node) {
  return cy.getElementById(`n${node}`).nonempty();
}

/** Marks the node that somebody looks at. */
export function choose(node) {
  cy.nodes().removeClass("chosen");
  cy.getElementById(`n${node}`).addClass("chosen");
}

/** Returns what is drawn: the numbers of nodes and facts. */
export function drawn() {
  return { nodes: cy.nodes().length, facts: cy.edges().length };
}

/** Returns where a node is seen, from the picture's upper left corner. */
export function position(node) {
  return { ...cy.getElementById(`n${node}`).renderedPosition() };
}

export function fit() {
  if (cy.nodes().empty() || !place.clientWidth) return;
  cy.fit(undefined, 36);
  if (cy.zoom() > 1.3) cy.zoom(1.3).center();
}

export function zoom(factor) {
  cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: place.clientWidth / 2, y: place.clientHeight / 2 } });
}

/** Takes the page's colours again, after the theme has changed. */
export function restyle() {
  cy.style(style());
}

function arrange() {
  described();
  if (cy.nodes().empty() || !place.clientWidth) return;
  const wide = place.clientWidth > place.clientHeight;
  const topics = cy.nodes(".topic");
  if (cy.nodes().length <= FEW && topics.nonempty()) {
    const turn = (_, { x, y }) => (wide ? { x: 1.6 * y, y: x } : { x, y }); // names are wide: steps to the right need more room
    cy.layout({ name: "breadthfirst", roots: topics, spacingFactor: 1.25, transform: turn, fit: false, animate: false }).run();
  } else {
    const degree = (node) => node.degree();
    cy.layout({ name: "concentric", concentric: degree, levelWidth: () => 2, minNodeSpacing: 60, fit: false, animate: false }).run();
    cloud();
  }
  fit();
}

function cloud() {
  if (!place.clientWidth) return;
  cy.layout({
    name: "cose", randomize: false, animate: false, fit: false,
    idealEdgeLength: () => 110, nodeRepulsion: () => 60_000, nodeDimensionsIncludeLabels: true,
  }).run();
  fit();
}

function described() {
  const { nodes, facts } = drawn();
  place.setAttribute("aria-label", nodes ? `A drawing of ${plural(nodes, "entity", "entities")} and ${plural(facts, "fact")}; lists say the same in words.` : "Nothing is drawn yet.");
}

function around(centre, count) {
  return (index) => {
    const angle = (2 * Math.PI * index) / count;
    return { x: centre.x + 140 * Math.cos(angle), y: centre.y + 140 * Math.sin(angle) };
  };
}

function nodeOf({ node, label }, role) {
  return { group: "nodes", data: { id: `n${node}`, label: shortened(label) }, classes: role };
}

function edgeOf({ triple, head, relation, tail }) {
  return { group: "edges", data: { id: `t${triple}`, source: `n${head.node}`, target: `n${tail.node}`, label: shortened(relation) } };
}

function shortened(text) {
  const letters = [...String(text)];
  return letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : letters.join("");
}

function colour(variable) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${variable})`;
  place.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function style() {
  const ink = colour("ink"), paper = colour("card"), soft = colour("soft");
  const font = { "font-family": getComputedStyle(document.body).fontFamily, "font-size": 12, color: ink };
  const node = {
    ...font, label: "data(label)", width: 22, height: 22, "background-color": paper, "border-width": 2, "border-color": soft,
    "text-valign": "bottom", "text-margin-y": 5, "text-wrap": "wrap", "text-max-width": 120,
    "text-background-color": paper, "text-background-opacity": 0.85, "text-background-padding": 2,
  };
  const edge = {
    ...font, label: "data(label)", "font-size": 10.5, color: soft, width: 1.6, "line-color": colour("edge"), "curve-style": "bezier",
    "target-arrow-shape": "triangle", "target-arrow-color": colour("edge"), "arrow-scale": 0.9, "text-rotation": "autorotate",
    "text-background-color": paper, "text-background-opacity": 0.9, "text-background-padding": 2,
  };
  return [
    { selector: "node", style: node },
    { selector: "edge", style: edge },
    { selector: ".topic", style: { shape: "round-rectangle", "background-color": colour("accent"), "border-color": colour("accent") } },
    { selector: ".answer", style: { shape: "diamond", width: 28, height: 28, "background-color": colour("amber"), "border-color": colour("amber") } },
    { selector: ".chosen", style: { "border-color": ink, "border-width": 4 } },
    { selector: "core", style: { "active-bg-opacity": 0.08 } },
  ];
}
