// What is wrong with the layout of the page as it stands: run in the page, returns sentences.
() => {
  const faults = [];
  const name = (e) => `${e.tagName.toLowerCase()} "${e.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  const isShown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen, .skip");
  const width = document.documentElement.clientWidth;
  const shown = [...document.body.querySelectorAll("*")].filter(isShown);

  if (document.scrollingElement.scrollWidth > width) faults.push(`scrolls sideways to ${document.scrollingElement.scrollWidth}`);
  for (const e of shown) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > width + 0.5 || box.left < -0.5)) faults.push(`${name(e)} sticks out`);
    const isHiding = getComputedStyle(e).overflowX === "hidden";
    if (isHiding && e.scrollWidth > e.clientWidth + 1) faults.push(`${name(e)} is cut off`);
  }

  const controls = shown.filter((e) => e.matches("a, button, input"));
  controls.forEach((a, i) => {
    for (const b of controls.slice(i + 1)) {
      const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
      const isApart = p.right <= q.left + 1 || q.right <= p.left + 1 || p.bottom <= q.top + 1 || q.bottom <= p.top + 1;
      if (!isApart && !a.contains(b)) faults.push(`${name(a)} lies over ${name(b)}`);
    }
  });

  if (shown.filter((e) => e.matches("h1")).length > 1) faults.push("more than one first heading");
  const ground = (e) => getComputedStyle(e).backgroundColor;
  const filled = controls.filter((e) => e.matches("main *") && getComputedStyle(e).textAlign === "center" && ![ground(document.body), "rgba(0, 0, 0, 0)"].includes(ground(e)));
  if (filled.length > 1) faults.push(`${filled.length} filled buttons`);

  for (const list of document.querySelectorAll("main dl")) {
    const ends = [...list.querySelectorAll("dd")].filter((e) => e.textContent.trim()).map((e) => e.getBoundingClientRect().right);
    if (Math.max(...ends) - Math.min(...ends) > 1) faults.push("figures do not line up");
  }
  return faults;
}
