// A put under more tags than one: the contract of a store has one a put.
#pragma once

#include "past/block_store.hpp"
#include "past/messages.hpp"

namespace past {

/// Durable under all of `tags` (at least one) when it returns. After an error some may be held under some of them;
/// base::Errc::busy: some went again meanwhile.
base::Task<base::Result<void>> put_tagged(BlockStore& store, base::Guid group, std::vector<Tag> tags,
                                          std::vector<Block> blocks, Cause cause = Cause::put);
/// A touch of what has to be there: base::Errc::busy if some of it is not, or cannot be asked.
base::Task<base::Result<void>> touch_all(BlockStore& store, Tag tag, std::vector<base::Guid> ids);

}  // namespace past
