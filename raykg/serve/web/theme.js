"use strict";
// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system's preference counts.
try {
  const chosen = localStorage.getItem("raykg.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that forbids storage shows the system's theme.
}
