#include "daemon/published_objects.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/text.hpp"

namespace tools {

using base::Errc;
using base::Guid;
using base::Log;
using nlohmann::json;

namespace {

constexpr std::size_t kMostObjects = 10'000;
constexpr std::size_t kMostWritten = 100;  // messages, to the log,
constexpr std::chrono::seconds kWithin{60};
constexpr std::size_t kShownBytes = 256;  // of a message

}  // namespace

PublishedObjects::PublishedObjects(base::NodeEnv env, tapestry::Node& location)
    : env_{env}, location_{location}, since_{env.clock.now()} {
    location_.on_message([this](Guid object, base::Address asker, base::SharedBytes message) {
        return take(object, std::move(asker), std::move(message));
    });
}

PublishedObjects::Answer PublishedObjects::publish(Guid object, base::TimePoint deadline) {
    if (!objects_.contains(object)) {
        if (location_.said(object) == tapestry::Said::published) {
            co_return base::Error{Errc::exists, "this node publishes " + object.short_hex() + " by itself"};
        }
        if (objects_.size() == kMostObjects) co_return base::Error{Errc::busy, "too many objects are published"};
        objects_.insert(object);
    }
    location_.publish({object});
    co_return co_await heard(object, deadline, true);
}

PublishedObjects::Answer PublishedObjects::unpublish(Guid object, base::TimePoint deadline) {
    if (objects_.erase(object) == 0 && location_.said(object) != tapestry::Said::withdrawn) {
        co_return base::Error{Errc::not_found, "no command published " + object.short_hex() + " on this node"};
    }
    location_.unpublish({object});
    co_return co_await heard(object, deadline, false);
}

PublishedObjects::Answer PublishedObjects::heard(Guid object, base::TimePoint deadline, bool published) {
    std::vector<Guid> objects{object};
    const auto missing = co_await location_.published(std::move(objects), deadline);
    if (objects_.contains(object) != published) {
        const std::string what = published ? "takes back" : "publishes";
        co_return base::Error{Errc::busy, "another command " + what + " " + object.short_hex() + " meanwhile"};
    }
    co_return json{
        {"object", object.hex()}, {"published", location_.status().published}, {"confirmed", missing.empty()}};
}

/// Written to the log.
base::Task<bool> PublishedObjects::take(Guid object, base::Address asker, base::SharedBytes message) {
    if (!objects_.contains(object)) co_return true;  // the node's own: nothing is sent there, and it is not given up
    if (!may_write()) co_return true;
    const auto shown = printable(base::as_text(message.view()).substr(0, kShownBytes));
    env_.log.write(Log::Level::info, "daemon",
                   "a message for " + object.short_hex() + " from " + asker.id.short_hex() + ": " + shown);
    co_return true;
}

/// Anybody may send: the log does not grow by more than so much for it.
bool PublishedObjects::may_write() {
    if (env_.clock.now() >= since_ + kWithin) {
        if (came_ > kMostWritten) {
            env_.log.write(
                Log::Level::info, "daemon",
                plural(came_ - kMostWritten, "more message", "more messages") + " came for published objects");
        }
        since_ = env_.clock.now();
        came_ = 0;
    }
    return ++came_ <= kMostWritten;
}

}  // namespace tools
