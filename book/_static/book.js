"use strict";

// Readers who open the book from disk search it too. Browsers don't let a page on disk read the
// other pages, from which the search cuts its extracts, so leave the extracts out there.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// The theme gives wide tables and code a tab stop, so that the keyboard can scroll them. It looks
// for them when the page changes its size: say so when a closed part opens.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
