import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { InputError } from "../errors.js";
import { type ChatMessage, type ChatTemplate, loadChatTemplate } from "./chat-template.js";

/** Made by transformers: see make.py beside it. */
const { specialTokens, chatTemplates, conversations, chats } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/chat/cases.json", import.meta.url), "utf8"),
) as {
  specialTokens: Record<string, string>;
  chatTemplates: Record<string, string>;
  conversations: Record<string, ChatMessage[]>;
  chats: { template: string; conversation: string; addGenerationPrompt: boolean; text?: string; error?: string }[];
};

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function load(files: Record<string, unknown>): Promise<ChatTemplate | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "pare-chat-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return loadChatTemplate(folder);
}

async function apply(files: Record<string, unknown>, content = "Hi"): Promise<string | undefined> {
  return (await load(files))?.apply([{ role: "user", content }], { addGenerationPrompt: true });
}

describe.each(Object.keys(chatTemplates))("%s: as transformers' apply_chat_template", (name) => {
  const template = load({ "chat_template.jinja": chatTemplates[name], "tokenizer_config.json": specialTokens });

  it.each(chats.filter((chat) => chat.template === name))(
    "$conversation, generation prompt $addGenerationPrompt",
    async ({ conversation, addGenerationPrompt, text, error }) => {
      const { apply } = (await template)!;
      const messages = conversations[conversation]!;
      if (text !== undefined) expect(apply(messages, { addGenerationPrompt })).toBe(text);
      else {
        // What the template itself says reaches the user.
        expect(() => apply(messages, { addGenerationPrompt })).toThrow(InputError);
        expect(() => apply(messages, { addGenerationPrompt })).toThrow(error);
      }
    },
  );
});

describe("where the template is", () => {
  it("a folder without one has none", async () => {
    expect(await load({})).toBeUndefined();
    expect(await load({ "tokenizer_config.json": { bos_token: "<s>", chat_template: null } })).toBeUndefined();
  });

  it("chat_template.jinja goes before chat_template.json, and that before tokenizer_config.json", async () => {
    const config = { "tokenizer_config.json": { chat_template: "config" } };
    const json = { ...config, "chat_template.json": { chat_template: "json" } };
    expect(await apply(config)).toBe("config");
    expect(await apply(json)).toBe("json");
    expect(await apply({ ...json, "chat_template.jinja": "jinja" })).toBe("jinja");
  });

  it("of several templates the one named default is taken", async () => {
    const named = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    expect(await apply({ "tokenizer_config.json": { chat_template: named } })).toBe("plain");
    await expect(load({ "tokenizer_config.json": { chat_template: named.slice(0, 1) } })).rejects.toThrow(
      /tokenizer_config\.json: chat_template: none of its 1 templates is named "default"/,
    );
  });

  it.each([5, {}, ["a"], [{ name: "default" }], [{ name: "default", template: 5 }]])(
    "%j is no template",
    async (given) => {
      await expect(load({ "tokenizer_config.json": { chat_template: given } })).rejects.toThrow(
        /tokenizer_config\.json: chat_template: must be text, or a list/,
      );
    },
  );

  it("a template that is no Jinja is refused when it is loaded", async () => {
    await expect(load({ "chat_template.jinja": "a\n{% if %}" })).rejects.toThrow(
      /chat_template\.jinja: not a valid template, line 2/,
    );
  });

  it("a file over the limit is refused", async () => {
    await expect(load({ "chat_template.jinja": "x".repeat(4 * 1024 * 1024 + 1) })).rejects.toThrow(/limit/);
    await expect(load({ "chat_template.jinja": "x".repeat(2 * 1024 * 1024) })).rejects.toThrow(/limit/);
  });
});

describe("what a template finds", () => {
  it("special tokens by name, as text or as a record; tokenizer_config.json goes before special_tokens_map.json", async () => {
    const files = {
      "chat_template.jinja":
        "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ image_token }}{{ eot }}{{ add_bos_token }}",
      "tokenizer_config.json": {
        bos_token: "<s>",
        eos_token: { content: "</s>", special: true },
        image_token: "<image>",
        extra_special_tokens: { eot: "<eot>" },
        add_bos_token: true,
      },
      "special_tokens_map.json": { eos_token: "<other>", pad_token: { content: "<pad>" } },
    };
    expect(await apply(files)).toBe("<s></s><pad><image><eot>");
  });

  describe("strftime_now", () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    it("as Python's datetime.now().strftime in the C locale", async () => {
      vi.useFakeTimers({ now: new Date(2026, 2, 5, 0, 7, 9) });
      // datetime(2026, 3, 5, 0, 7, 9).strftime(...), Python 3.11 on Linux
      const format = "%d %b %Y|%B %-d|%A %a|%y-%m-%d|%H:%M:%S|%I %p|%j|%%";
      expect(await apply({ "chat_template.jinja": `{{ strftime_now('${format}') }}` })).toBe(
        "05 Mar 2026|March 5|Thursday Thu|26-03-05|00:07:09|12 AM|064|%",
      );
      await expect(apply({ "chat_template.jinja": "{{ strftime_now('%Q') }}" })).rejects.toThrow(/strftime_now.*%Q/);
      await expect(apply({ "chat_template.jinja": "{{ strftime_now('%constructor') }}" })).rejects.toThrow(/%c/);
    });
  });

  it("that refuses a conversation says why", async () => {
    const files = { "chat_template.jinja": "{{ raise_exception('only ' ~ 'questions') }}" };
    await expect(apply(files)).rejects.toThrow(/chat_template\.jinja: .*refuses the conversation: only questions/);
  });

  it("that fails only for some conversations fails for those", async () => {
    const files = { "chat_template.jinja": "{% if messages[0].content == 'x' %}{{ 1 + none }}{% endif %}ok" };
    expect(await apply(files)).toBe("ok");
    await expect(apply(files, "x")).rejects.toThrow(InputError);
  });
});
