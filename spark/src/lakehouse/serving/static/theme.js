// Airflow keeps the theme that a person chose in this origin's storage; "system" and nothing leave it to the browser.
(() => {
  const root = document.documentElement;
  const follow = () => {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
    else delete root.dataset.theme;
  };
  follow();
  addEventListener("storage", (event) => event.key === "theme" && follow());
  if (window.parent !== window) root.classList.add("framed");
})();
