// The token was spent: what it gave is kept for this host and port alone, and the address with the token leaves the history.
localStorage.setItem("dorky-key", document.querySelector('meta[name="dorky-key"]').content);
location.replace("/");
