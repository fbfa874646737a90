// The CT in three planes and 3D, with segmentation, boxes and heat map, by NiiVue. Coordinates from the service are
// LPS, NiiVue's are RAS: x and y change their sign.

const BONE = [-600, 1400]; // HU: window 2000, level 400
const HEAT_FROM = 25; // percent; what the report shows, too
const COLORS = [
  [0, 0, 0], [238, 102, 119], [204, 187, 68], [34, 136, 51], [102, 204, 238], [68, 119, 170], [170, 51, 119],
  [187, 187, 187],
];

let library = null;

function load() {
  library ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/web/niivue/niivue.umd.js";
    script.onload = () => resolve(window.niivue);
    script.onerror = () => reject(new Error("The viewer can't be loaded."));
    document.head.append(script);
  });
  return library;
}

export class Viewer {
  constructor(canvas, moved) {
    this.canvas = canvas;
    this.moved = moved;
    this.boxes = null;
  }

  /** Show a study. files: addresses of ct, segmentation and heat; the last two may be missing. render: 3D. */
  async open(files) {
    const { Niivue } = await load();
    if (!this.nv) {
      this.nv = new Niivue({
        backColor: [0, 0, 0, 1],
        crosshairColor: [0.3, 0.8, 1, 0.7],
        crosshairWidth: 0.5,
        meshThicknessOn2D: 1,
        meshXRay: 0.3,
        multiplanarShowRender: 1,
        isRadiologicalConvention: true,
        show3Dcrosshair: true,
        loadingText: "",
      });
      await this.nv.attachToCanvas(this.canvas, false);
      this.nv.onLocationChange = (where) => this.report(where.mm);
    }
    this.clear();
    this.nv.opts.multiplanarShowRender = files.render ? 1 : 0;
    await this.nv.loadVolumes([{ url: files.ct, colormap: "gray", cal_min: BONE[0], cal_max: BONE[1], trustCalMinMax: false }]);
    if (files.segmentation) await this.addSegmentation(files.segmentation);
    if (files.heat) await this.setHeat(files.heat);
    this.nv.setSliceType(this.nv.sliceTypeMultiplanar);
    this.nv.setMultiplanarLayout(2); // a grid of four
  }

  clear() {
    if (!this.nv) return;
    if (this.boxes) this.nv.removeMesh(this.boxes);
    this.boxes = this.segmentation = this.heat = null;
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume);
  }

  async addSegmentation(url) {
    this.segmentation = await this.nv.addVolumeFromUrl({ url, opacity: 0.35 });
    const channel = (index) => COLORS.map((color) => color[index]);
    const colors = { R: channel(0), G: channel(1), B: channel(2), A: COLORS.map((_, index) => (index ? 255 : 0)) };
    this.segmentation.setColormapLabel({ ...colors, labels: ["", "C1", "C2", "C3", "C4", "C5", "C6", "C7"] });
    this.nv.updateGLVolume();
  }

  async setHeat(url) {
    if (this.heat) this.nv.removeVolume(this.heat);
    this.heat = url
      ? await this.nv.addVolumeFromUrl({ url, colormap: "hot", cal_min: HEAT_FROM, cal_max: 100, opacity: 0.6 })
      : null;
  }

  /** Boxes as edges: [{lower, upper}], mm LPS. */
  setBoxes(boxes) {
    if (this.boxes) this.nv.removeMesh(this.boxes);
    this.boxes = null;
    if (!boxes.length) return;
    const nodes = [];
    const edges = [];
    for (const { lower, upper } of boxes) {
      const first = nodes.length;
      for (let corner = 0; corner < 8; corner += 1) {
        const [x, y, z] = [0, 1, 2].map((axis) => ((corner >> axis) & 1 ? upper : lower)[axis]);
        nodes.push({ name: "", x: -x, y: -y, z, colorValue: 1, sizeValue: 0.3 });
      }
      for (let corner = 0; corner < 8; corner += 1) {
        for (const step of [1, 2, 4]) {
          if (!(corner & step)) edges.push({ first: first + corner, second: first + corner + step, colorValue: 1 });
        }
      }
    }
    const colors = { nodeColormap: "warm", nodeColormapNegative: "warm", edgeColormap: "warm", edgeColormapNegative: "warm" };
    const ranges = { nodeMinColor: 0, nodeMaxColor: 1, edgeMin: 0, edgeMax: 1, nodeScale: 1, edgeScale: 0.5 };
    this.boxes = this.nv.loadConnectomeAsMesh({ name: "boxes", ...colors, ...ranges, showLegend: false, nodes, edges });
    this.nv.addMesh(this.boxes);
  }

  show(what, shown) {
    if (!this.nv) return;
    if (what === "render") {
      this.nv.opts.multiplanarShowRender = shown ? 1 : 0; // always, or never
      this.nv.drawScene();
    } else if (what === "boxes") {
      if (this.boxes) this.boxes.visible = shown;
      this.nv.drawScene();
    } else if (this[what]) {
      const opacity = what === "heat" ? 0.6 : 0.35;
      this.nv.setOpacity(this.nv.volumes.indexOf(this[what]), shown ? opacity : 0);
    }
  }

  /** Put the crosshair at a point, mm LPS. */
  jump([x, y, z]) {
    if (!this.nv?.volumes.length) return;
    this.nv.scene.crosshairPos = this.nv.mm2frac([-x, -y, z]);
    this.nv.drawScene();
    this.report([-x, -y, z]);
  }

  report([x, y, z]) {
    const [i, j, k] = this.nv.frac2vox(this.nv.mm2frac([x, y, z]));
    this.moved({ lps: [-x, -y, z], voxel: [i, j, k] });
  }
}
