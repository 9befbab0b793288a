// Messages to bytes and back. Everything foreign is checked here: counts, lengths, ids.
#pragma once

#include "base/result.hpp"
#include "messages.hpp"

namespace tapestry {

/// At most kMaxParcels. Hops, delay and age beyond their limits are said to be at the limit.
[[nodiscard]] base::Message encode(const std::vector<Parcel>& parcels, Verb verb = Verb::publish);
[[nodiscard]] base::Message encode(const Find& find, base::SharedBytes payload);
[[nodiscard]] base::Message encode(const Found& found);
[[nodiscard]] base::Message encode(const Deliver& deliver, base::SharedBytes payload, Verb verb = Verb::deliver);
[[nodiscard]] base::Message encode(const Delivered& delivered);
[[nodiscard]] base::Message encode_hand_over(std::uint64_t born);
/// `fresh`: we came into the ring lately ourselves.
[[nodiscard]] base::Message encode_handed_over(bool fresh);
[[nodiscard]] base::Message encode_neighbour_query(const base::Guid& object);
/// At most kMaxParcels.
[[nodiscard]] base::Message encode(const std::vector<Acknowledgement>& acknowledgements);
/// To a request that has nothing else to say.
[[nodiscard]] base::Message encode_done(Verb verb);

/// All: base::Errc::bad_format. Announcements are decoded, not verified.
[[nodiscard]] base::Result<std::vector<Parcel>> decode_publish(const base::Message& message);
[[nodiscard]] base::Result<Find> decode_find(base::ByteView header);
[[nodiscard]] base::Result<Found> decode_found(base::ByteView header);
[[nodiscard]] base::Result<Deliver> decode_deliver(base::ByteView header);
[[nodiscard]] base::Result<Delivered> decode_delivered(const base::Message& message);
/// Whether who handed over is fresh.
[[nodiscard]] base::Result<std::uint64_t> decode_hand_over(base::ByteView header);
[[nodiscard]] base::Result<bool> decode_handed_over(base::ByteView header);
[[nodiscard]] base::Result<base::Guid> decode_neighbour_query(base::ByteView header);
[[nodiscard]] base::Result<std::vector<Acknowledgement>> decode_arrived(base::ByteView header);

}  // namespace tapestry
