// The key, the model, the strategy and the theme.
import { announce, element, find } from "./dom.js";
import { json, key, setKey } from "./service.js";

const THEMES = ["system", "light", "dark"];

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

/** Fills the list of models. */
export async function showModels() {
  const { data } = await json("v1/models");
  const chosen = find("model").value;
  find("model").replaceChildren(...data.map(({ id }) => element("option", { value: id }, id)));
  if (data.some(({ id }) => id === chosen)) find("model").value = chosen;
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
