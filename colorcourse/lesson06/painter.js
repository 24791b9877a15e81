// A picture that says where it was clicked: x and y as shares of its sides, from the top left.
function render({ model, el }) {
  const picture = document.createElement("img");
  picture.draggable = false;
  picture.style.cssText = "display: block; max-width: 100%; cursor: crosshair";
  const draw = () => {
    picture.alt = model.get("alt");
    picture.src = model.get("source");
  };
  picture.addEventListener("click", (event) =>
    model.send({
      x: event.offsetX / picture.clientWidth,
      y: event.offsetY / picture.clientHeight,
    }),
  );
  model.on("change", draw);
  draw();
  el.append(picture);
}

export default { render };
