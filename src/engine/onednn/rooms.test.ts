import { expect, it } from "vitest";
import { createRooms, type TensorData } from "./rooms.js";

const shared = (numbers: TensorData) => numbers.buffer instanceof SharedArrayBuffer;

it("the same array stays in its room, in memory that threads share", () => {
  const rooms = createRooms();
  const data = Float32Array.of(1, 2, 3);
  const first = rooms.put(data);
  expect(first.numbers).toEqual(data);
  expect(shared(first.numbers)).toBe(true);
  expect(rooms.put(data)).toEqual(first);
  expect(rooms.has(first.room)).toBe(true);
});

it("another array in the same memory is a new version in the same room", () => {
  const rooms = createRooms();
  const data = Float32Array.of(1, 2, 3);
  const first = rooms.put(data);
  data.set([4, 5, 6]);
  const second = rooms.put(new Float32Array(data.buffer));
  expect(second.room).toBe(first.room);
  expect(second.version).not.toBe(first.version);
  expect(second.numbers).toBe(first.numbers);
  expect([...second.numbers]).toEqual([4, 5, 6]);
});

it("parts of one memory, other types in it and other memories have rooms of their own", () => {
  const rooms = createRooms();
  const memory = new ArrayBuffer(16);
  const arrays = [
    new Float32Array(memory, 0, 2),
    new Float32Array(memory, 8, 2),
    new Float32Array(memory),
    new Uint16Array(memory, 0, 2),
    BigInt64Array.of(7n),
    Float64Array.of(0.5),
  ];
  const put = arrays.map((array) => rooms.put(array));
  expect(new Set(put.map(({ room }) => room)).size).toBe(arrays.length);
  for (const [i, { numbers }] of put.entries()) expect(numbers).toEqual(arrays[i]);
});
