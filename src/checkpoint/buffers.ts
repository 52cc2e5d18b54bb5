/** Buffers that old checkpoints hold beside their weights, and that every program makes by itself. */
export const BUFFERS = /(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias)$/;
