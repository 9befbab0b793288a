#include "tagged_put.hpp"

namespace past {

base::Task<base::Result<void>> put_tagged(BlockStore& store, base::Guid place, std::vector<Tag> tags,
                                          std::vector<Block> blocks) {
    std::vector<base::Guid> ids;
    for (const auto& block : blocks) ids.push_back(block.id);
    BASE_CO_CHECK(co_await store.put(place, tags.front(), std::move(blocks)));
    for (std::size_t i = 1; i < tags.size(); ++i) BASE_CO_CHECK(co_await store.touch(tags[i], ids));
    co_return base::ok();
}

}  // namespace past
