import { Tensor } from "../onnxruntime/ort.js";

/** Numbers that graphs are given or put out. */
export type TensorData = Float32Array | Float64Array | Uint16Array | BigInt64Array;

/** Memory that threads share, for numbers of which the same ones are given to many runs. */
export interface Rooms {
  /**
   * A room that has these numbers. Numbers of an array never change: another array in the same memory has other numbers, which go to the
   * room of those before, as a new version.
   */
  put(data: TensorData): { readonly room: number; readonly version: number; readonly numbers: TensorData };
  /** Whether anybody may still ask for what is in it. */
  has(room: number): boolean;
}

interface Room {
  readonly id: number;
  readonly numbers: TensorData;
  of: TensorData;
  version: number;
}

export function createRooms(): Rooms {
  let next = 0;
  /** By the memory that an array lies in, and by where in it. */
  const rooms = new WeakMap<ArrayBufferLike, Map<string, Room>>();
  const there = new Set<number>();
  const ends = new FinalizationRegistry<number>((id) => there.delete(id));
  return {
    put(data) {
      const others = rooms.get(data.buffer) ?? new Map<string, Room>();
      rooms.set(data.buffer, others);
      const where = `${data.constructor.name} ${data.byteOffset} ${data.length}`;
      let room = others.get(where);
      if (!room) {
        room = { id: next++, numbers: emptyLike(data), of: data, version: 0 };
        copy(data, room.numbers);
        others.set(where, room);
        there.add(room.id);
        ends.register(data.buffer, room.id);
      } else if (room.of !== data) {
        room.of = data;
        room.version++;
        copy(data, room.numbers);
      }
      return { room: room.id, version: room.version, numbers: room.numbers };
    },
    has: (room) => there.has(room),
  };
}

/** As many numbers of the same type in memory that threads share. */
function emptyLike(data: TensorData): TensorData {
  const memory = new SharedArrayBuffer(data.byteLength);
  return new (data.constructor as new (memory: SharedArrayBuffer) => TensorData)(memory);
}

function copy(from: TensorData, to: TensorData): void {
  (to as Float32Array).set(from as Float32Array);
}

/** Numbers in a shape; they say themselves what they are. */
export function asTensor(numbers: TensorData, dims: readonly number[]): Tensor {
  return new Tensor(numbers as Float32Array, dims);
}
