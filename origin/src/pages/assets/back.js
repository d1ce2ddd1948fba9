// Runs in the small page that a bank's page posts to, in a frame of the pay page: tells the page around it to go on.
// Nothing of what the bank posted is told. Only a page of our own origin hears it.
"use strict";

const { back } = document.documentElement.dataset;
if (back && window.parent !== window) window.parent.postMessage({ scanvault: back }, window.location.origin);
