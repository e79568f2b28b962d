"""Pictures and files of the catalogue: an address to upload to, and what was uploaded afterwards.

The provider hands out a pre-signed address of its file store, good for 60 seconds; what was uploaded takes effect once
its id has been sent in a PATCH. Here the file store is the sandbox itself, under `/uploads/`.
"""

import base64
from urllib.parse import quote

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError, answer, empty, found, refuse_body
from ..http.server import Response

routes = Routes()

# "Upload image to this URL within 60s" (OpenAPI 1.113.0, PUT /products/{id}/images).
UPLOAD_LIFE_MS = 60_000
# What a browser shows and cannot run: no SVG.
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
FILE_TYPE = "application/octet-stream"


@routes.put("/uploads/{upload_id}")
def take_upload(call: Call, upload_id: str) -> Response:
    upload = found(call.twin.store.get("uploads", upload_id), "Upload")
    if call.twin.clock.now() > upload["expires_at"]:
        raise WireError(403, "UPLOAD_EXPIRED", "This upload address has expired")
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if upload["file_name"] is None and kind not in IMAGE_TYPES:
        raise WireError(422, "INVALID_REQUEST_BODY", f"Content-Type: must be one of {', '.join(IMAGE_TYPES)}")
    if not call.request.body:
        raise WireError(422, "INVALID_REQUEST_BODY", "The upload is empty")
    content = base64.b64encode(call.request.body).decode()
    call.twin.store.put("uploads", {**upload, "type": kind or FILE_TYPE, "content": content})
    return empty(200)


@routes.get("/uploads/{upload_id}")
def show_upload(call: Call, upload_id: str) -> Response:
    upload = call.twin.store.get("uploads", upload_id)
    if upload is None or upload["content"] is None:
        raise WireError(404, "NOT_FOUND")
    headers = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
    if upload["file_name"] is None:
        headers.append(("Content-Type", upload["type"]))
    else:
        # Whatever a file says it is, a browser saves it and never runs it.
        name = quote(upload["file_name"])
        headers += [("Content-Type", FILE_TYPE), ("Content-Disposition", f"attachment; filename*=UTF-8''{name}")]
    return Response(200, headers, base64.b64decode(upload["content"]))


def offer_image(twin: Twin, current_id: str | None, *, anew: bool) -> Response:
    """Answer with an address to upload a picture to.

    A picture that is there is replaced under its id, and `image_id` is null then, unless `anew` asks for a new id.
    When the provider leaves it null is not documented: our choice.
    """
    kept = None if anew else current_id
    upload = _offer(twin, kept, file_name=None)
    return answer({"url": twin.url(f"/uploads/{upload['id']}"), "image_id": None if kept else upload["id"]})


def offer_file(twin: Twin, file_name: str) -> Response:
    """Answer with an address to upload a digital product's file to."""
    upload = _offer(twin, None, file_name=file_name)
    return answer({"url": twin.url(f"/uploads/{upload['id']}"), "file_id": upload["id"]})


def image_fields(twin: Twin, body: Doc) -> Doc:
    """Return `image` and `image_id` of a PATCH that names an uploaded picture, or removes it by null."""
    if "image_id" not in body:
        return {}
    image_id = body["image_id"]
    if image_id is None:
        return {"image": None, "image_id": None}
    _uploaded(twin, image_id, "image_id", is_file=False)
    return {"image": twin.url(f"/uploads/{image_id}"), "image_id": image_id}


def check_file(twin: Twin, file_id: object) -> str:
    """Return the id of an uploaded file, or refuse it."""
    return str(_uploaded(twin, file_id, "digital_product_delivery.files", is_file=True)["id"])


def serialise_file(twin: Twin, file_id: str) -> Doc:
    """Return a file as a product's delivery lists it."""
    upload = twin.store.get("uploads", file_id)
    assert upload is not None
    return {
        "file_id": file_id,
        "filename": upload["file_name"],
        "download_url": twin.url(f"/uploads/{file_id}"),
        # The provider's addresses expire; the sandbox's do not, and an hour is our choice of what to say.
        "expires_in": 3600,
        "content_type": upload["type"],
        "file_size": len(base64.b64decode(upload["content"])),
    }


def _offer(twin: Twin, upload_id: str | None, *, file_name: str | None) -> Doc:
    now = twin.clock.now()
    empty_upload = {"created_at": now, "file_name": file_name, "type": None, "content": None}
    upload = twin.store.get("uploads", upload_id) or {"id": twin.ids.uuid(), **empty_upload}
    upload["expires_at"] = now + UPLOAD_LIFE_MS
    twin.store.put("uploads", upload)
    return upload


def _uploaded(twin: Twin, upload_id: object, field: str, *, is_file: bool) -> Doc:
    upload = twin.store.get("uploads", upload_id if isinstance(upload_id, str) else None)
    if upload is None or upload["content"] is None or (upload["file_name"] is not None) != is_file:
        raise refuse_body(field, "names nothing that was uploaded")
    return upload
