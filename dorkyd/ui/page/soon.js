// Do something a little later, once for all who ask meanwhile. What is asked for again and again is done again and again all
// the same: nobody is put off for ever.

export function soon(work, afterMs) {
  let due = 0;
  const ask = () => {
    due ||= setTimeout(() => {
      due = 0;
      work();
    }, afterMs);
  };
  ask.cancel = () => {
    clearTimeout(due);
    due = 0;
  };
  return ask;
}
