// Shows the version selector in the header of a page, and a notice in an old version. `../versions.js` has the versions, newest first.
(() => {
  if (typeof modelbayVersions === "undefined") return; // a version that was built alone
  const script = document.currentScript;
  const page = script.dataset.page;
  const here = new URL(".", script.src).pathname.split("/").at(-2);

  const link = ({ version, pages }, text) => {
    const a = document.createElement("a");
    a.href = new URL(`../${version}/${pages.includes(page) ? page : "index.html"}`, script.src);
    a.textContent = text;
    return a;
  };

  const button = document.createElement("button");
  button.className = "md-version__current";
  button.ariaLabel = "Select version";
  button.textContent = here;
  const list = document.createElement("ul");
  list.className = "md-version__list";
  for (const other of modelbayVersions) {
    const item = document.createElement("li");
    item.className = "md-version__item";
    const a = link(other, other.version);
    a.className = "md-version__link";
    if (other.version === here) a.ariaCurrent = "page";
    item.append(a);
    list.append(item);
  }
  const selector = document.createElement("div");
  selector.className = "md-version";
  selector.append(button, list);
  document.querySelector(".md-header__title").after(selector); // the theme would put it inside, where scrolling hides it
  list.addEventListener("click", ({ target }) => (target.hash = location.hash)); // the other page is opened at the same heading

  const newest = modelbayVersions[0];
  if (newest.version === here) return;
  const text = document.createElement("div");
  text.className = "md-banner__inner md-grid md-typeset";
  text.textContent = `This page describes version ${here}. `;
  if (newest.pages.includes(page)) text.append(link(newest, `Read it for the newest version, ${newest.version}`), ".");
  else text.append("The ", link(newest, `newest version, ${newest.version}`), ", does not have this page.");
  const notice = document.createElement("aside");
  notice.className = "md-banner md-banner--warning";
  notice.dataset.mdColorScheme = "default"; // its yellow requires dark text
  notice.append(text);
  document.querySelector(".md-header").before(notice);
})();
