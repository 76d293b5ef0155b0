// The key, the model, the strategy and the theme.
import { announce, element, find } from "./dom.js";
import { json, key, setKey } from "./service.js";

const THEMES = ["system", "light", "dark"];
let models = new Map(); // name -> what the service says of it

/** Wires the settings; `onkey` is called after the key has changed, `ontheme` after the colours have. */
export function startSettings({ onkey, ontheme }) {
  const dialog = find("settings");
  find("open-settings").addEventListener("click", openSettings);
  find("close-settings").addEventListener("click", () => dialog.close());
  find("forget-key").addEventListener("click", () => keep("", onkey));
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(find("key").value.trim(), onkey);
  });
  find("model").addEventListener("change", showStrategies);
  const theme = find("theme");
  theme.value = document.documentElement.dataset.theme ?? "system";
  theme.addEventListener("change", () => {
    setTheme(theme.value);
    ontheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ontheme);
}

export function openSettings() {
  find("key").value = key();
  find("settings").showModal();
  find("key").focus();
}

/** Fills the lists of models that answer, and of the chosen one's strategies. */
export async function showModels() {
  const { data } = await json("v1/models");
  models = new Map(data.filter(({ raykg }) => raykg).map(({ id, raykg }) => [id, raykg]));
  refill(find("model"), [...models.keys()].map((id) => [id, id]));
  showStrategies();
  return [...models.values()].find(({ kg }) => kg)?.kg.version ?? null;
}

function showStrategies() {
  const { strategies = [], strategy = "" } = models.get(find("model").value) ?? {};
  const words = (text) => text.replaceAll("_", " ");
  const usual = strategy ? `the usual: ${words(strategy)}` : "the usual";
  refill(find("strategy"), [["", usual], ...strategies.map((one) => [one, words(one)])]);
}

function refill(list, options) {
  const chosen = list.value;
  list.replaceChildren(...options.map(([value, words]) => element("option", { value }, words)));
  if (options.some(([value]) => value === chosen)) list.value = chosen;
}

function keep(text, onkey) {
  setKey(text);
  find("settings").close();
  announce(text ? "The key is kept until this tab is closed." : "The key is forgotten.");
  onkey();
}

function setTheme(chosen) {
  if (!THEMES.includes(chosen)) return;
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("raykg.theme", chosen);
  } catch {
    // The choice holds until the page is loaded again.
  }
}
