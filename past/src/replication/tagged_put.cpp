#include "replication/tagged_put.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "base/error.hpp"
#include "replication/gather.hpp"

namespace past {

base::Task<base::Result<void>> put_tagged(BlockStore& store, base::Guid group, std::vector<Tag> tags,
                                          std::vector<Block> blocks, Cause cause) {
    std::vector<base::Guid> ids;
    for (const auto& block : blocks) ids.push_back(block.id);
    if (a_client_waits(cause)) {
        BASE_CO_CHECK(co_await store.put(group, tags.front(), std::move(blocks)));
    } else {
        BASE_CO_CHECK(co_await store.put_for_repair(group, tags.front(), std::move(blocks)));
    }
    if (tags.size() == 1) co_return base::ok();
    // All at once: they share a sync.
    const auto executor = co_await boost::asio::this_coro::executor;
    const auto gather = std::make_shared<Gather<base::Result<void>>>(executor);
    base::TaskGroup touching{executor};
    for (std::size_t i = 1; i < tags.size(); ++i) spawn(touching, gather, touch_all(store, tags[i], ids));
    co_await touching.join();
    for (const auto& done : gather->answers) BASE_CO_CHECK(*done);
    co_return base::ok();
}

base::Task<base::Result<void>> touch_all(BlockStore& store, Tag tag, std::vector<base::Guid> ids) {
    BASE_CO_TRY(const auto held, co_await store.touch(tag, std::move(ids)));
    if (std::ranges::find(held, false) == held.end()) co_return base::ok();
    co_return base::Error{base::Errc::busy, "a block went while it was tagged"};
}

}  // namespace past
