// Asking again and again while a key is held or a handle dragged.

/** `ask` for one thing at a time; of what is wanted meanwhile only the newest is asked for, last. */
export function newestOnly(ask) {
  let isBusy = false;
  let wanted = [];
  return async (one) => {
    wanted = [one];
    if (isBusy) return;
    isBusy = true;
    try {
      while (wanted.length) await ask(wanted.pop());
    } finally {
      isBusy = false;
    }
  };
}
