// Comfort only: the page works without this file.
"use strict";

const form = document.querySelector("form.pay");
const payButton = form.querySelector("[data-testid=pay]");

document.querySelectorAll(".fills form").forEach((fill) => {
  fill.addEventListener("submit", (event) => {
    event.preventDefault();
    const { number, expiry } = fill.querySelector("button").dataset;
    form.card_number.value = number;
    form.expiry.value = expiry;
    form.cvc.value = "123";
    const typed = form.querySelector("input[name=method][value='']");
    if (typed) typed.checked = true;
    form.card_number.focus();
  });
});

// Somebody who types a card means that card.
form.card_number.addEventListener("input", () => {
  const typed = form.querySelector("input[name=method][value='']");
  if (typed) typed.checked = true;
});

// What the total depends on.
const PRICED = [...form.elements].filter((control) => /^(country|zipcode|discount_code|currency|amount_.*|addon_.*)$/.test(control.name));

let asked = 0;

async function updateTotal() {
  const mine = ++asked;
  const query = new URLSearchParams(PRICED.map((control) => [control.name, control.value]));
  const answer = await fetch(form.dataset.totalUrl + "&" + query);
  const summary = await answer.text();
  // A later question has been asked meanwhile: its answer counts.
  if (!answer.ok || mine !== asked) return;
  const isOpen = document.querySelector(".order").open;
  document.getElementById("summary").outerHTML = summary;
  document.querySelector(".order").open = isOpen;
  const total = document.querySelector("[data-testid=checkout-total]");
  payButton.textContent = form.dataset.payText.replace("{total}", total.textContent);
  document.getElementById("announced").textContent = total.parentElement.innerText;
}

// With this script the total follows by itself; a payment link has nothing to work out.
const updateButton = form.querySelector("[data-testid=update-total]");
if (updateButton) updateButton.hidden = true;

if (form.dataset.totalUrl) PRICED.forEach((control) => control.addEventListener("change", updateTotal));

// A second press would be answered "already used"; this only spares the buyer that page.
form.addEventListener("submit", (event) => {
  if (event.submitter === payButton) payButton.disabled = true;
});
window.addEventListener("pageshow", () => { payButton.disabled = false; });
