"""A window that shows one picture after another."""

from PIL import Image

from ieast.errors import ConfigError


class Window:
    """A window of Tk, which comes with Python: the OpenCV without windows goes with more machines than the one with them."""

    def __init__(self, title: str):
        """Open it.

        Raises:
            ConfigError: There is no display, or this Python has no Tk.
        """
        instead = "Give --output FILE to write a video in its place"
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise ConfigError(
                f"no window can be opened, because Tk is missing (python3-tk in Debian): {error}. {instead}"
            ) from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ConfigError(f"no window can be opened here: {error}. {instead}") from error
        self._image_tk, self._title = ImageTk, title
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self.is_open = True
        self._root.protocol("WM_DELETE_WINDOW", self._leave)
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda _: self._leave())

    def show(self, image: Image.Image, note: str) -> None:
        """Show `image`, with `note` in the title; afterwards `is_open` says whether anyone wants more."""
        photo = self._image_tk.PhotoImage(image, master=self._root)
        self._label.configure(image=photo)
        self._shown = photo  # Tk itself keeps none, and would show nothing
        self._root.title(f"{self._title}  {note}")
        self._root.update()

    def close(self) -> None:
        """Close it."""
        self._root.destroy()

    def _leave(self) -> None:
        self.is_open = False
