// Keys of the desk. A key presses the element with its name in data-key. The keys a, d and w open a decision: the
// person writes why, and Enter records it. Keys can be turned off, because single keys disturb speech input.
"use strict";
(() => {
  const STORED = "loan-scoring-desk-keys";
  const typed = (element) => element.closest("input:not([type=radio]):not([type=checkbox]), textarea, select");
  const named = (key) => document.querySelector(`[data-key="${CSS.escape(key)}"]`);

  addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("form[data-decide]");
    const comment = form?.querySelector("textarea");
    const hint = form?.querySelector("[data-hint]");
    let pending = null;
    let isSent = false;

    const turn = (isOn) => {
      document.documentElement.classList.toggle("keys-off", !isOn);
      document.querySelectorAll("[data-keys]").forEach((each) => (each.checked = isOn));
    };
    turn(localStorage.getItem(STORED) !== "off");
    document.querySelectorAll("[data-keys]").forEach((each) =>
      each.addEventListener("change", () => {
        localStorage.setItem(STORED, each.checked ? "on" : "off");
        turn(each.checked);
      }),
    );
    const isOn = () => !document.documentElement.classList.contains("keys-off");

    const reason = () => form.querySelector("input[name=standard_reason]:checked");
    // A standard reason may stand instead of words, and only for its own decision.
    const require = () => (comment.required = !reason()?.value);
    const open = (button) => {
      form.querySelectorAll("[data-pending]").forEach((each) => each.removeAttribute("data-pending"));
      pending = button;
      hint.textContent = "";
      if (!button) return;
      const chosen = reason();
      let dropped = "";
      if (chosen?.dataset.for && chosen.dataset.for !== button.value) {
        form.querySelector("input[name=standard_reason][value='']").checked = true;
        dropped = ". The standard reason is of another decision, so it is not used";
        require();
      }
      button.setAttribute("data-pending", "");
      const decision = button.childNodes[0].textContent.trim();
      hint.textContent = `${decision}: ${reason()?.value ? "Enter records it, with words if you write some" : "write why, then Enter"}${dropped}`;
      comment.focus();
    };

    if (form) {
      form.addEventListener("change", require);
      require();
      form.addEventListener("submit", (event) => {
        // A second Enter before the next page is there must not send the decision twice.
        if (isSent) return event.preventDefault();
        isSent = true;
      });
      addEventListener("pageshow", () => (isSent = false));
      // The server says the same, on a page of its own.
      const amount = form.querySelector("input[name=approved_up_to]");
      const judge = () => {
        const value = Number(amount.value.replace(/[, \u00a0](?=\d{3})/g, ""));
        const most = Number(amount.dataset.most);
        const isWrong = amount.value.trim() && !(value > 0 && value <= most);
        amount.setCustomValidity(isWrong ? `An amount above 0 and at most ${most.toLocaleString("en")}` : "");
      };
      amount?.addEventListener("input", judge);
      form.addEventListener("keydown", (event) => {
        // An amount has no letters, so the keys of the decisions work in its field too.
        if (event.target === amount && isOn() && !event.ctrlKey && !event.metaKey && /^[adw]$/.test(event.key)) {
          event.preventDefault();
          return open(named(event.key));
        }
        const isField = event.target === comment || event.target.name === "approved_up_to";
        if (event.key !== "Enter" || event.shiftKey || event.isComposing || !isField || !isOn()) return;
        if (event.target === comment && !pending) return;
        event.preventDefault();
        if (event.target !== comment) open(named("a"));
        else if (!event.repeat) form.requestSubmit(pending);
      });
    }

    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        document.querySelectorAll("[data-toast]").forEach((each) => each.remove());
        if (pending) open(null);
        if (typed(event.target)) event.target.blur();
        return;
      }
      if (!isOn() || event.ctrlKey || event.metaKey || event.altKey || event.repeat || typed(event.target)) return;
      const element = named(event.key);
      if (!element || element.disabled) return;
      event.preventDefault();
      if (element.closest("form[data-decide]") && element.matches("button")) open(element);
      else if (element.matches("input[type=radio]")) {
        element.checked = true;
        require();
        hint.textContent = element.value ? `Reason ${event.key} is chosen` : "";
      } else if (typed(element)) {
        element.focus();
        element.select?.();
      } else element.click();
    });
  });
})();
