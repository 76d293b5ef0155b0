// Proposals: what somebody or some model would have the graph know, accepted or rejected by a person.
import { announce, button, element, find, name } from "./dom.js";
import { errorBox, json } from "./service.js";

let settings = null;

/** Wires the list and the form; `onkey` opens the settings, where a key can be entered. */
export function startReview({ onkey }) {
  settings = { onkey };
  find("reload").addEventListener("click", showProposals);
  find("proposals-status").addEventListener("change", showProposals);
  find("proposal").addEventListener("submit", propose);
}

/** Opens the form with what is known of a missing fact; the side that is asked for gets the focus. */
export function openProposal({ head, relation, tail }) {
  find("propose").open = true;
  const fields = find("proposal").elements;
  const given = (text) => (text === "?" ? "" : text);
  fields.head.value = given(head);
  fields.relation.value = given(relation);
  fields.tail.value = given(tail);
  (fields.head.value === "" ? fields.head : fields.tail).focus();
}

export async function showProposals() {
  const place = find("proposals");
  const status = find("proposals-status").value;
  place.setAttribute("aria-busy", "true");
  try {
    const { proposals } = await json(`v1/kg/proposals${status ? `?${new URLSearchParams({ status })}` : ""}`);
    const list = element("ul", { class: "proposals" }, ...proposals.map(card));
    place.replaceChildren(proposals.length ? list : element("p", { class: "small" }, "There are none."));
  } catch (error) {
    place.replaceChildren(errorBox(error, settings.onkey));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function card(proposal) {
  const outcome = element("div", { role: "status" });
  const made = element(
    "li",
    {},
    element("p", { class: "fact" }, name(words(proposal.head)), element("span", { class: "relation" }, ` ${words(proposal.relation)} `), name(words(proposal.tail))),
    proposal.evidence ? element("p", { class: "quoted" }, name(words(proposal.evidence))) : null,
    element("p", { class: "small" }, about(proposal)),
  );
  if (proposal.status === "pending") made.append(decision(proposal, made, outcome));
  made.append(outcome);
  return made;
}

function decision(proposal, made, outcome) {
  const reason = element("input", { maxlength: 500, "aria-label": "Reason for rejecting", placeholder: "why not (optional)" });
  const place = element("p", { class: "actions" });
  const decide = async (verb, body) => {
    for (const control of place.children) control.disabled = true;
    try {
      const done = await json(`v1/kg/proposals/${encodeURIComponent(proposal.id)}/${verb}`, { method: "POST", body });
      const said = `${verb === "accept" ? "Accepted" : "Rejected"}${done.kg?.version ? `; the graph is at ${done.kg.version}` : ""}.`;
      place.remove();
      outcome.replaceChildren(said);
      made.classList.add(verb === "accept" ? "accepted" : "rejected");
      announce(said);
    } catch (error) {
      for (const control of place.children) control.disabled = false;
      outcome.replaceChildren(errorBox(error, settings.onkey));
    }
  };
  place.append(
    button("Accept", () => decide("accept", {}), { class: "main" }),
    button("Reject", () => decide("reject", reason.value.trim() ? { reason: reason.value.trim() } : {})),
    reason,
  );
  return place;
}

async function propose(event) {
  event.preventDefault();
  const form = find("proposal");
  const place = find("proposal-outcome");
  const body = Object.fromEntries([...new FormData(form)].map(([key, text]) => [key, text.trim()]));
  try {
    await json("v1/kg/proposals", { method: "POST", body });
    form.reset();
    place.replaceChildren(element("p", { role: "status" }, "Proposed. It waits for review."));
    find("proposals-status").value = "pending";
    await showProposals();
  } catch (error) {
    place.replaceChildren(errorBox(error, settings.onkey));
  }
}

function about({ status, who, when, reason, reviewer }) {
  return [status, who ? `proposed by ${who}` : null, when ? String(when) : null, reviewer ? `decided by ${reviewer}` : null, reason].filter(Boolean).join(" · ");
}

function words(value) {
  return typeof value === "object" && value !== null ? String(value.label ?? value.name ?? value.text ?? JSON.stringify(value)) : String(value);
}
