import { Tensor } from "onnxruntime-node";

/** Numbers that graphs are given or put out. */
export type Numbers = Float32Array | Float64Array | Uint16Array | BigInt64Array;

/** Memory that threads share, for numbers of which the same ones are given to many runs. */
export interface Rooms {
  /**
   * A room that has these numbers. Numbers of an array never change: another array in the same memory has other numbers, which go to the
   * room of those before, as a new version.
   */
  put(data: Numbers): { readonly room: number; readonly version: number; readonly numbers: Numbers };
  /** Whether anybody may still ask for what is in it. */
  has(room: number): boolean;
}

interface Room {
  readonly id: number;
  readonly numbers: Numbers;
  of: Numbers;
  version: number;
}

export function createRooms(): Rooms {
  let next = 0;
  const rooms = new WeakMap<ArrayBufferLike, Room>();
  const there = new Set<number>();
  const ends = new FinalizationRegistry<number>((id) => there.delete(id));
  const open = (data: Numbers): Room => {
    const room = { id: next++, numbers: shared(data), of: data, version: 0 };
    rooms.set(data.buffer, room);
    there.add(room.id);
    ends.register(data.buffer, room.id);
    return room;
  };
  return {
    put(data) {
      let room = rooms.get(data.buffer);
      if (!room || room.numbers.length !== data.length || room.numbers.constructor !== data.constructor) {
        if (room) there.delete(room.id);
        room = open(data);
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

/** The numbers in memory that threads share. */
function shared(data: Numbers): Numbers {
  if (data.buffer instanceof SharedArrayBuffer) return data;
  const memory = new SharedArrayBuffer(data.byteLength);
  const made = new (data.constructor as new (memory: SharedArrayBuffer) => Numbers)(memory);
  copy(data, made);
  return made;
}

function copy(from: Numbers, to: Numbers): void {
  if (from.buffer !== to.buffer) (to as Float32Array).set(from as Float32Array);
}

/** Numbers in a shape; they say themselves what they are. */
export function asTensor(numbers: Numbers, dims: readonly number[]): Tensor {
  return new Tensor(numbers as Float32Array, dims);
}
