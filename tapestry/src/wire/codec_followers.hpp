// Followers' messages to bytes and back. Everything foreign is checked here: counts, lengths, ids, depths.
#pragma once

#include "base/result.hpp"
#include "followers/follow_messages.hpp"

namespace tapestry {

[[nodiscard]] base::Message encode(const Look& look);
/// `news`: the newest body, if it was wanted and is newer; also of AttachReply.
[[nodiscard]] base::Message encode(const View& view, base::SharedBytes news);
[[nodiscard]] base::Message encode(const Attach& request);
[[nodiscard]] base::Message encode(const AttachReply& reply, base::SharedBytes news);
[[nodiscard]] base::Message encode(const Digest& digest);
[[nodiscard]] base::Message encode(const Digested& digested);
[[nodiscard]] base::Message encode(const Push& push, base::SharedBytes news);
[[nodiscard]] base::Message encode(const Pushed& pushed);
[[nodiscard]] base::Message encode(const Leave& leave);

/// All: base::Errc::bad_format, also for a body above kMaxNewsBytes, or an empty one in a push.
[[nodiscard]] base::Result<Look> decode_look(const base::Message& message);
[[nodiscard]] base::Result<View> decode_view(const base::Message& message);
[[nodiscard]] base::Result<Attach> decode_attach(const base::Message& message);
[[nodiscard]] base::Result<AttachReply> decode_attach_reply(const base::Message& message);
[[nodiscard]] base::Result<Digest> decode_digest(const base::Message& message);
[[nodiscard]] base::Result<Digested> decode_digested(const base::Message& message);
[[nodiscard]] base::Result<Push> decode_push(const base::Message& message);
[[nodiscard]] base::Result<Pushed> decode_pushed(const base::Message& message);
[[nodiscard]] base::Result<Leave> decode_leave(const base::Message& message);

}  // namespace tapestry
