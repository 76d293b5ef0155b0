// One answer: what it says, how far it can be trusted, and everything that led to it.
import { button, element, name, plural } from "./dom.js";

const SHOWN = 12; // answers and facts that are shown before somebody asks for all
const VERDICTS = {
  proved: ["Proved", "the facts below lead to it, step by step"],
  cited: ["Not proved", "the model names the facts below; nobody followed a plan over them"],
  unproved: ["Not proved", "nothing in the graph was shown to support it"],
  unverified: ["Unverified", "a model or a passage says so; the graph does not"],
  unknown: ["I do not know", "nothing in the graph supports an answer"],
};

/** Returns how far an answer can be trusted: a key of VERDICTS. */
export function verdict(record) {
  const proof = typeof record.proof === "object" && record.proof !== null;
  if (record.status === "answered" && proof) return "proved";
  if (record.status === "answered" && record.facts?.length) return "cited";
  if (record.unverified?.length) return "unverified";
  return record.status === "answered" ? "unproved" : "unknown";
}

/** Returns the badge of a verdict: words and a sign, never a colour alone. */
export function badge(record) {
  const key = verdict(record);
  const [words, why] = VERDICTS[key];
  return element("p", { class: `verdict ${key}` }, element("strong", {}, words), element("span", {}, why));
}

/** Returns what stands under an answer's words: its entities, its evidence and what can be done with it. */
export function evidence(record, { onwalk, ondraw, onpropose, onreview, onagain }) {
  return element(
    "div",
    { class: "evidence" },
    entities(record, onwalk),
    unverified(record, onreview),
    missing(record, onpropose),
    how(record, onwalk),
    element(
      "p",
      { class: "actions" },
      record.facts?.length ? button("Draw the facts", ondraw) : null,
      button("Ask again", onagain),
      download(record),
    ),
    element("p", { class: "small" }, summary(record)),
  );
}

/** Returns a fact as a line whose two entities can be walked to. */
export function fact({ head, relation, tail }, onwalk) {
  return element("span", { class: "fact" }, walkTo(head, onwalk), element("span", { class: "relation" }, ` ${relation} `), walkTo(tail, onwalk));
}

/** Returns a list that shows its first items, and a button for the rest. */
export function shortList(items, draw, { tag = "ul", className = "" } = {}) {
  const list = element(tag, { class: className });
  const add = (some) => list.append(...some.map((item) => element("li", {}, draw(item))));
  add(items.slice(0, SHOWN));
  if (items.length > SHOWN) {
    const more = element("li", {}, button(`Show all ${items.length.toLocaleString("en")}`, () => {
      more.remove();
      add(items.slice(SHOWN));
      list.children[SHOWN].querySelector("button")?.focus();
    }));
    list.append(more);
  }
  return list;
}

function walkTo({ node, label }, onwalk) {
  return button(name(label), () => onwalk(node), { class: "entity", title: "Walk on from here" });
}

function entities(record, onwalk) {
  const known = (record.answers ?? []).filter(({ node }) => node !== null && node !== undefined);
  if (!known.length) return null;
  return shortList(known, ({ text, node }) => walkTo({ node, label: text }, onwalk), { className: "chips" });
}

function unverified(record, onreview) {
  if (!record.unverified?.length && !record.proposals?.length) return null;
  return element(
    "div",
    { class: "note unverified" },
    record.unverified?.length ? element("p", {}, "Said, but not in the graph: ", name(record.unverified.join("; "))) : null,
    record.proposals?.length ? element("p", {}, `${plural(record.proposals.length, "fact")} proposed for review.`) : null,
    button("Review proposals", onreview),
  );
}

function missing(record, onpropose) {
  if (!record.missing?.length) return null;
  return element(
    "div",
    { class: "note" },
    element("p", {}, "What the graph lacks:"),
    shortList(record.missing, (pattern) =>
      element(
        "span",
        { class: "fact" },
        name(pattern.head),
        element("span", { class: "relation" }, ` ${pattern.relation} `),
        name(pattern.tail),
        " ",
        button("I know it", () => onpropose(pattern), { title: "Propose this fact for review" }),
      ),
    ),
  );
}

function how(record, onwalk) {
  const rows = [];
  if (record.plan_in_words) rows.push(["In words", record.plan_in_words]);
  if (record.plan) rows.push(["Plan", element("code", {}, record.plan)]);
  if (record.error) rows.push(["What stopped it", record.error]);
  if (record.bad_citations) rows.push(["Removed", plural(record.bad_citations, "citation") + " of facts that the model was not given"]);
  if (record.proof?.claims?.length) rows.push(["Also checked", plural(record.proof.claims.length, "claim") + " about what the graph does not hold"]);
  if (record.facts?.length) rows.push(["Facts", shortList(record.facts, (one) => fact(one, onwalk), { tag: "ol" })]);
  if (!rows.length) return null;
  const list = element("dl", {}, ...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
  return element("details", { open: true }, element("summary", {}, "How it got there"), list);
}

function summary(record) {
  const parts = [record.strategy];
  if (typeof record.confidence === "number") parts.push(`${Math.round(100 * record.confidence)} % sure of its words`);
  if (typeof record.timings?.total === "number") parts.push(`${record.timings.total.toFixed(2)} s`);
  if (record.kg?.version) parts.push(`graph ${shortVersion(record.kg.version)}`);
  if (record.model?.name) parts.push(record.model.name);
  return parts.filter(Boolean).join(" · ");
}

/** Returns a version short enough to read: the first eight characters and the number of edits. */
export function shortVersion(version) {
  const [base, sequence] = version.split("+");
  return base.slice(0, 8) + (sequence === undefined ? "" : `+${sequence}`);
}

function download(record) {
  return button("Download the record", () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }));
    element("a", { href: address, download: "answer.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }, { title: "`raykg verify answer.json` checks it without this service" });
}
